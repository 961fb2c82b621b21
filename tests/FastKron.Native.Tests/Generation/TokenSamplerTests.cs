using FastKron.Native.Generation;
using NUnit.Framework;

namespace FastKron.Native.Tests.Generation;

public sealed class TokenSamplerTests
{
    private static readonly float[] Logits = [1000f, 1001f, 998f, 1001f, float.NegativeInfinity, 996f];

    [Test]
    public void Next_TemperatureZero_TakesTheLowestOfTheMostLikely() =>
        Assert.That(new TokenSampler(new GenerationOptions(), 6).Next(Logits, step: 0), Is.EqualTo(1));

    [Test]
    public void Next_ManyDraws_FollowsTheSoftmax([Values(0.7, 1.0, 3.0)] double temperature)
    {
        const int Draws = 20000;
        double[] weights = [.. Logits.Select(z => Math.Exp((z - 1001.0) / temperature))];
        double[] frequencies = Frequencies(new GenerationOptions { Temperature = temperature, Seed = 3 }, Draws);
        for (int v = 0; v < weights.Length; v++)
        {
            double p = weights[v] / weights.Sum();
            Assert.That(frequencies[v], Is.EqualTo(p).Within(4 * Math.Sqrt(p * (1 - p) / Draws)), $"id {v}");   // 4 standard deviations; the seed is fixed
        }
    }

    [TestCase(0.35, new[] { 1 })]
    [TestCase(0.5, new[] { 1, 3 })]
    [TestCase(0.9, new[] { 0, 1, 3 })]
    [TestCase(0.999, new[] { 0, 1, 2, 3, 5 })]
    public void Next_TopP_DrawsFromTheSmallestSetThatReachesIt(double topP, int[] expected)
    {
        // Probabilities .417 (ids 1 and 3), .153 (0), .0208 (2), .0028 (5), 0 (4).
        double[] frequencies = Frequencies(new GenerationOptions { Temperature = 1, TopP = topP }, draws: 5000);
        Assert.That(Enumerable.Range(0, 6).Where(v => frequencies[v] > 0), Is.EqualTo(expected));
    }

    [Test]
    public void Next_DamagedLogits_Throws([Values(float.NaN, float.PositiveInfinity)] float value) =>
        Assert.That(() => new TokenSampler(new GenerationOptions(), 2).Next([1, value], step: 0), Throws.InstanceOf<InvalidDataException>());

    [Test]
    public void Next_NoLogitAboveMinusInfinity_Throws([Values(0, 1)] double temperature) =>
        Assert.That(() => new TokenSampler(new GenerationOptions { Temperature = temperature }, 2).Next([float.NegativeInfinity, float.NegativeInfinity], step: 0), Throws.InstanceOf<InvalidDataException>());

    [TestCase(-1, 1)]
    [TestCase(double.NaN, 1)]
    [TestCase(1, 0)]
    [TestCase(1, 1.5)]
    public void Constructor_OptionOutOfRange_Throws(double temperature, double topP) =>
        Assert.That(() => new TokenSampler(new GenerationOptions { Temperature = temperature, TopP = topP }, 2), Throws.InstanceOf<ArgumentOutOfRangeException>());

    private static double[] Frequencies(GenerationOptions options, int draws)
    {
        var sampler = new TokenSampler(options, Logits.Length);
        double[] frequencies = new double[Logits.Length];
        for (uint step = 0; step < draws; step++)
            frequencies[sampler.Next(Logits, step)] += 1.0 / draws;
        return frequencies;
    }
}
