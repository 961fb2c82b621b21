using FastKron.Native.Compute.Reference;
using FastKron.Native.Evaluation;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation;

public sealed class PairedTestsTests
{
    [TestCase(0, 0, 1)]
    [TestCase(1, 0, 1)]
    [TestCase(6, 6, 1)]
    [TestCase(5, 0, 2.0 / 32)]
    [TestCase(2, 10, 2 * (1 + 12 + 66) / 4096.0)]
    public void McNemar_SmallCounts_IsTheBinomialTail(int onlyFirst, int onlySecond, double expected)
        => Assert.That(PairedTests.McNemar(onlyFirst, onlySecond), Is.EqualTo(expected).Within(1e-12));

    // Normal approximation with continuity correction: z = 99/√1100 = 2.985, p = 0.00284; the exact value is within a percent of it.
    [Test]
    public void McNemar_ManyDocuments_StaysFiniteAndNearTheNormalApproximation()
    {
        Assert.That(PairedTests.McNemar(600, 500), Is.EqualTo(0.00284).Within(2).Percent);
        Assert.That(PairedTests.McNemar(9000, 1000), Is.InRange(0, 1e-300));
    }

    [Test]
    public void Bootstrap_ConstantValues_HaveNoWidth()
        => Assert.That(PairedTests.Bootstrap([[0.25, 0.25, 0.25], [0.75]]), Is.EqualTo((0.5, 0.5)));

    // The mean of 400 normal values has a 95 % interval of ±1.96 · 0.05; 10,000 resamplings place its ends within a few percent, the sample itself within 7 % (2 · 0.05/√2).
    [Test]
    public void Bootstrap_NormalValues_GivesTheIntervalOfTheMean()
    {
        float[] drawn = new float[401];
        Philox.Normal(seed: 3, RandomPurpose.Test, item: 0, drawn);
        double[] values = [.. drawn.Select(v => (double)v)];
        (double low, double high) = PairedTests.Bootstrap([values]);
        double mean = values.Average();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(high - mean, Is.EqualTo(1.96 * 0.05).Within(10).Percent);
            Assert.That(mean - low, Is.EqualTo(1.96 * 0.05).Within(10).Percent);
            Assert.That(PairedTests.Bootstrap([values]), Is.EqualTo((low, high)), "the seed is fixed");
            Assert.That(PairedTests.Bootstrap([values], seed: 1), Is.Not.EqualTo((low, high)));
        }
    }

    // Two strata of equal spread, one four times as large: the variance of the mean of means is (v/n₁ + v/n₂)/4.
    [Test]
    public void Bootstrap_TwoStrata_AreResampledEachForItself()
    {
        double[] small = [.. Enumerable.Range(0, 100).Select(i => i % 2 == 0 ? 10.0 : 12.0)], large = [.. Enumerable.Range(0, 400).Select(i => i % 2 == 0 ? -1.0 : 1.0)];
        (double low, double high) = PairedTests.Bootstrap([small, large]);
        double error = Math.Sqrt((1.0 / 100 + 1.0 / 400) / 4);
        Assert.That((low + high) / 2, Is.EqualTo(5.5).Within(0.01));
        Assert.That(high - low, Is.EqualTo(2 * 1.96 * error).Within(5).Percent);
    }
}
