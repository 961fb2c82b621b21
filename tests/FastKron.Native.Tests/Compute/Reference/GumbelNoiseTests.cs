using System.Numerics;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Reference;

public sealed class GumbelNoiseTests
{
    // Bits that every backend must repeat, from exact rational arithmetic with one rounding a step (a Python script of twenty lines). They change
    // only if the definition does, and then every sampled label does. The fourth word's −ln u is exactly 1.
    [Test, Category("Simd")]
    public void FromWord_KnownWords_GiveTheseBits()
    {
        uint[] words = [0x00000000, 0x00000200, 0x12345678, 0x5E2D58D8, 0x80000000, 0xC0FFEE00, 0xFFFFFDFF, 0xFFFFFFFF];
        uint[] bits = [.. words.Select(word => BitConverter.SingleToUInt32Bits(GumbelNoise.FromWord(word)))];
        Assert.That(bits, Is.EqualTo(new uint[]
        {
            0xC033F049, 0xC02F90E7, 0xBF78DC13, 0x80000000, 0x3EBBA79B, 0x3FA1CE97, 0x41789739, 0x41851592,
        }));
    }

    [Test]
    public void Log_AcrossTheRange_IsWithinTwoUlp()
    {
        for (int i = 0; i < 200_000; i++)
        {
            // Numbers whose logarithms the noise needs: 2⁻²⁴ … 17, every mantissa pattern, densely around 1.
            float x = i % 2 == 0
                ? (Philox.Word(3, (ulong)i, RandomPurpose.Test, 0) % 16_777_215 + 1) / 16_777_216f
                : MathF.Pow(2, -24 + i * (28.1f / 200_000));
            double expected = Math.Log(x);
            Assert.That(GumbelNoise.Log(x), Is.EqualTo(expected).Within(2 * MathF.BitIncrement(Math.Abs((float)expected)) - 2 * Math.Abs((float)expected)));
        }
    }

    [Test]
    public void Log_One_IsExactlyZero() => Assert.That(GumbelNoise.Log(1), Is.Zero);

    [Test]
    public void FromWord_AllWords_HaveTheMomentsOfTheGumbelDistribution()
    {
        double sum = 0, squares = 0;
        const int count = 1 << 23;
        for (uint i = 0; i < count; i += 7)
        {
            double noise = GumbelNoise.FromWord(i << 9);
            sum += noise;
            squares += noise * noise;
        }
        double mean = sum * 7 / count, variance = squares * 7 / count - mean * mean;
        // Euler's constant and π²/6; the uniform grid of 2²³/7 points misses the tail beyond ln 2²⁴ and integrates the rest to about 1e-5.
        Assert.That(mean, Is.EqualTo(0.5772157).Within(1e-4));
        Assert.That(variance, Is.EqualTo(Math.PI * Math.PI / 6).Within(1e-3));
    }

    [Test]
    public void Bound_EveryWord_IsAboveTheNoiseByLittle()
    {
        uint[] words = new uint[Vector<uint>.Count];
        float narrowest = float.PositiveInfinity;
        for (uint i = 0; i < 1 << 23; i += (uint)words.Length)
        {
            for (int lane = 0; lane < words.Length; lane++)
                words[lane] = (i + (uint)lane) << 9;
            Vector<float> bound = GumbelArgmax.Bound(new Vector<uint>(words));
            for (int lane = 0; lane < words.Length; lane++)
                narrowest = MathF.Min(narrowest, bound[lane] - GumbelNoise.FromWord(words[lane]));
        }
        // The bound was given 0.001 more than the exact inequality needs; the roundings of noise and bound must leave most of it.
        Assert.That(narrowest, Is.GreaterThan(0.0005f));
    }
}
