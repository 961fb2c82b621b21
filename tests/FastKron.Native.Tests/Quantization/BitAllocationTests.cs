using FastKron.Native.Quantization;
using NUnit.Framework;

namespace FastKron.Native.Tests.Quantization;

public sealed class BitAllocationTests
{
    private static readonly int[] Widths = [2, 3, 4];

    // Losses that fall by random factors, so that the best choice is not on the convex hull of every matrix.
    [Test]
    public void Choose_SmallCases_IsAsGoodAsTryingEverything([Values(0, 1, 2, 3, 4, 5, 6, 7)] int seed, [Values(2, 2.3, 2.5, 3, 3.5, 4)] double average)
    {
        var random = new Random(seed);
        long[] weights = [.. Enumerable.Range(0, 7).Select(_ => 96L * random.Next(1, 6))];
        double[][] losses = [.. weights.Select(_ => Losses(random))];

        int[] chosen = BitAllocation.Choose(weights, losses, Widths, average);

        double best = double.PositiveInfinity;
        for (int code = 0; code < (int)Math.Pow(Widths.Length, weights.Length); code++)
        {
            int[] tried = [.. weights.Select((_, i) => Widths[code / (int)Math.Pow(Widths.Length, i) % Widths.Length])];
            if (Spent(weights, tried) <= average * weights.Sum() + 1e-6)
                best = Math.Min(best, Total(losses, tried));
        }
        Assert.That(Spent(weights, chosen), Is.LessThanOrEqualTo(average * weights.Sum() + 1e-6));
        Assert.That(Total(losses, chosen), Is.EqualTo(best).Within(1e-12 * best));   // sums of seven terms in another order
    }

    [Test]
    public void Choose_EqualMatrices_GivesTheMoreSensitiveMore()
    {
        double[][] losses = [.. new[] { 1.0, 8, 3, 4 }.Select(sensitivity => new[] { sensitivity, sensitivity / 4, sensitivity / 16 })];
        Assert.That(BitAllocation.Choose([64, 64, 64, 64], losses, Widths, 2.5), Is.EqualTo(new[] { 2, 3, 2, 3 }));
        Assert.That(BitAllocation.Choose([64, 64, 64, 64], losses, Widths, 2.75), Is.EqualTo(new[] { 2, 3, 3, 3 }));
    }

    // 0.3 · 10 is less than 3 in float64.
    [Test]
    public void Choose_AverageThatIsNoBinaryFraction_SpendsAllOfIt()
    {
        double[][] losses = [.. Enumerable.Repeat(new[] { 1.0, 0.25, 0.2 }, 10)];
        Assert.That(Spent([.. Enumerable.Repeat(64L, 10)], BitAllocation.Choose([.. Enumerable.Repeat(64L, 10)], losses, Widths, 2.3)), Is.EqualTo(64 * 23));
    }

    // 224 matrices of LLaMA-3-8B's shapes: what the average allows is spent to the last smallest matrix.
    [TestCase(2.5)]
    [TestCase(3.1)]
    public void Choose_LargeModel_SpendsTheBudget(double average)
    {
        var random = new Random(3);
        long[] weights = [.. Enumerable.Range(0, 32).SelectMany(_ => new[] { 16L << 20, 4L << 20, 4L << 20, 16L << 20, 56L << 20, 56L << 20, 56L << 20 })];
        double[][] losses = [.. weights.Select(w => Array.ConvertAll(Losses(random), loss => loss * w))];
        double spent = Spent(weights, BitAllocation.Choose(weights, losses, Widths, average));
        Assert.That(spent, Is.InRange(average * weights.Sum() - (4 << 20), average * weights.Sum()));
    }

    [Test]
    public void Choose_BadArguments_AreRefused()
    {
        Assert.That(() => BitAllocation.Choose([], [], Widths, 3), Throws.ArgumentException);
        Assert.That(() => BitAllocation.Choose([64], [[1, 0.5, double.NaN]], Widths, 3), Throws.ArgumentException);
        Assert.That(() => BitAllocation.Choose([64], [[1, 0.5, 0.25]], Widths, 1.9), Throws.ArgumentException);
    }

    private static double[] Losses(Random random)
    {
        double first = Math.Exp(4 * random.NextDouble()), second = first * random.NextDouble();
        return [first, second, second * random.NextDouble()];
    }

    private static double Spent(long[] weights, int[] bits) => weights.Zip(bits, (w, k) => (double)w * k).Sum();

    private static double Total(double[][] losses, int[] bits) => losses.Zip(bits, (l, k) => l[k - Widths[0]]).Sum();
}
