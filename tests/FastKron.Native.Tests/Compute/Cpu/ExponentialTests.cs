using System.Numerics;
using FastKron.Native.Compute.Cpu;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Cpu;

[Category("Simd")]
public sealed class ExponentialTests
{
    [Test]
    public void Of_NormalResults_AreWithinTwoUlp()
    {
        for (float x = -87.3f; x < 88.3f; x += 0.00371f)
        {
            double expected = Math.Exp(x), ulp = MathF.BitIncrement((float)expected) - (float)expected;
            Assert.That(Of(x), Is.EqualTo(expected).Within(2 * ulp), $"x = {x:R}");
        }
    }

    [TestCase(0f, 1f)]
    [TestCase(-0f, 1f)]
    [TestCase(float.NegativeInfinity, 0f)]
    [TestCase(-88f, 0f)]
    [TestCase(-1e30f, 0f)]
    [TestCase(float.PositiveInfinity, float.PositiveInfinity)]
    [TestCase(1e30f, float.PositiveInfinity)]
    [TestCase(float.NaN, float.NaN)]
    public void Of_SpecialNumbers_GiveTheLimit(float x, float expected) => Assert.That(Of(x), Is.EqualTo(expected));

    private static float Of(float x) => Exponential.Of(new Vector<float>(x))[0];
}
