using FastKron.Native.Evaluation;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation;

public sealed class StatisticsTests
{
    [Test]
    public void StandardError_OfFourValues_IsTheSampleDeviationOverTheRoot()
        => Assert.That(Statistics.StandardError([1, 2, 3, 6]), Is.EqualTo(Math.Sqrt(14.0 / 3 / 4)).Within(1e-12));

    [Test]
    public void PairedStandardError_OfAConstantDifference_IsZero()
        => Assert.That(Statistics.PairedStandardError([1, 5, 9], [0, 4, 8]), Is.EqualTo(0));

    [TestCase(0, 1)]
    [TestCase(1, 4)]
    [TestCase(0.5, 2.5)]
    [TestCase(0.9, 3.7)]
    public void Quantile_BetweenValues_IsLinear(double level, double expected)
        => Assert.That(Statistics.Quantile([1, 2, 3, 4], level), Is.EqualTo(expected).Within(1e-12));

    [Test]
    public void Correlation_OfALineAndItsMirror_IsOneAndMinusOne()
    {
        Assert.That(Statistics.Correlation([1, 2, 3], [2, 4, 6]), Is.EqualTo(1).Within(1e-12));
        Assert.That(Statistics.Correlation([1, 2, 3], [6, 4, 2]), Is.EqualTo(-1).Within(1e-12));
    }
}
