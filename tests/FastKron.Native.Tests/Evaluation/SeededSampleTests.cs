using FastKron.Native.Evaluation;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation;

public sealed class SeededSampleTests
{
    [Test]
    public void Mean_TwoSeedsOfThreeUnits_HasTheErrorsOfUnitsAndSeeds()
    {
        SeededSample sample = Sample((3, [1, 2, 6]), (1, [3, 4, 8]));
        // Units 2, 3, 7: variance 7, over 3 units. Seeds 5 and 3: variance 2, over 2 seeds.
        Assert.That(sample.Units, Is.EqualTo(new[] { 2.0, 3, 7 }));
        Assert.That(sample.SeedMeans, Is.EqualTo(new[] { 5.0, 3 }), "ascending by seed");
        Assert.That(sample.Mean, Is.EqualTo(4));
        Assert.That(sample.Error, Is.EqualTo(Math.Sqrt(7.0 / 3 + 1)).Within(1e-12));
    }

    [Test]
    public void Minus_OtherSeeds_PairsTheCommonOnes()
    {
        SeededSample a = Sample((0, [1, 2]), (1, [3, 5]), (2, [9, 9])), b = Sample((1, [1, 1]), (2, [2, 3]), (4, [0, 0]));
        SeededSample difference = a.Minus(b)!;
        Assert.That(difference.Seeds, Is.EqualTo(new ulong[] { 1, 2 }));
        Assert.That(difference.Units, Is.EqualTo(new[] { (2.0 + 7) / 2, (4.0 + 6) / 2 }));
        Assert.That(a.Minus(Sample((7, [0, 0]), (8, [0, 0]))), Is.Null);
    }

    [Test]
    public void Minus_OfTheUnrotated_PairsEverySeed()
    {
        SeededSample a = Sample((0, [1, 2]), (5, [3, 5])), original = SeededSample.Unrotated([1, 1]);
        Assert.That(a.Minus(original)!.SeedMeans, Is.EqualTo(new[] { 0.5, 3 }));
        Assert.That(original.Minus(a)!.SeedMeans, Is.EqualTo(new[] { -0.5, -3 }));
        Assert.That(original.Minus(original)!.Units, Is.EqualTo(new[] { 0.0, 0 }));
    }

    [Test]
    public void RatioTo_ProportionalValues_HasNoError()
    {
        SeededSample a = Sample((0, [1, 2, 4]), (1, [2, 3, 1])), b = Sample((0, [2, 4, 8]), (1, [4, 6, 2]));
        (double ratio, double error) = a.RatioTo(b)!.Value;
        Assert.That(ratio, Is.EqualTo(0.5));
        Assert.That(error, Is.Zero.Within(1e-15));
    }

    [Test]
    public void RatioTo_Noise_HasTheSpreadOfRepeatedSamples()
    {
        // 400 samples of 3 seeds and 64 units: the mean predicted error against the spread of the ratios, which 400 samples give to 4 %.
        var random = new Random(7);
        double Normal() => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
        List<double> ratios = [], errors = [];
        for (int repeat = 0; repeat < 400; repeat++)
        {
            var a = new Dictionary<ulong, double[]>();
            var b = new Dictionary<ulong, double[]>();
            double[] common = [.. Enumerable.Range(0, 64).Select(_ => 0.2 * Normal())];
            for (ulong seed = 0; seed < 3; seed++)
            {
                double own = 0.02 * Normal();
                a[seed] = [.. common.Select(c => 0.7 + c + own + 0.05 * Normal())];
                b[seed] = [.. common.Select(c => 1.0 + c + 0.05 * Normal())];
            }
            (double ratio, double error) = new SeededSample(a).RatioTo(new SeededSample(b))!.Value;
            ratios.Add(ratio);
            errors.Add(error * error);
        }
        double spread = Math.Sqrt(ratios.Sum(r => Math.Pow(r - ratios.Average(), 2)) / (ratios.Count - 1));
        Assert.That(ratios.Average(), Is.EqualTo(0.7).Within(0.005));
        Assert.That(Math.Sqrt(errors.Average()) / spread, Is.EqualTo(1).Within(0.15));
    }

    [Test]
    public void Constructor_UnequalUnits_IsRefused()
    {
        Assert.That(() => Sample((0, [1]), (1, [1, 2])), Throws.ArgumentException);
        Assert.That(() => Sample(), Throws.ArgumentException);
    }

    private static SeededSample Sample(params (ulong Seed, double[] Units)[] values) => new(values.ToDictionary(v => v.Seed, v => v.Units));
}
