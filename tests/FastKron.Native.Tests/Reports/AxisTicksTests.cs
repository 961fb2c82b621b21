using FastKron.Native.Reports;
using NUnit.Framework;

namespace FastKron.Native.Tests.Reports;

public sealed class AxisTicksTests
{
    [TestCase(0, 0.187, new[] { 0, 0.05, 0.1, 0.15, 0.2 })]
    [TestCase(0, 2.75, new[] { 0, 1.0, 2, 3 })]
    [TestCase(-0.3, 1, new[] { -0.5, 0, 0.5, 1 })]
    [TestCase(0, 1, new[] { 0, 0.2, 0.4, 0.6, 0.8, 1 })]
    public void Linear_Range_IsEnclosedByRoundValues(double low, double high, double[] expected)
        => Assert.That(AxisTicks.Linear(low, high), Is.EqualTo(expected).Within(1e-12));          // products of powers of ten, rounded

    [TestCase(6e-4, 0.036, new[] { 1e-4, 1e-3, 1e-2, 1e-1 })]
    [TestCase(0.02, 0.3, new[] { 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1 })]
    [TestCase(1, 1, new[] { 1.0, 2, 5, 10 })]
    [TestCase(1e-9, 0.5, new[] { 1e-9, 1e-7, 1e-5, 1e-3, 1e-1, 10 })]
    public void Logarithmic_Range_IsEnclosedByPowersOfTen(double low, double high, double[] expected)
        => Assert.That(AxisTicks.Logarithmic(low, high), Is.EqualTo(expected).Within(1e-12).Percent);
}
