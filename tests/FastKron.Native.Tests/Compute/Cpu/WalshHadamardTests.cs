using System.Numerics;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Cpu;

[Category("Simd")]
public sealed class WalshHadamardTests
{
    [Test]
    public void Transform_EveryLength_EqualsScalarButterfliesBitForBit([Values(1, 2, 4, 8, 16, 48)] int interleaved)
    {
        for (int length = interleaved; length <= 4096; length *= 2)
        {
            float[] single = new float[length];
            Philox.Normal(seed: 2, RandomPurpose.Test, item: (uint)length, single);
            double[] full = Array.ConvertAll(single, v => v * 1.000000123);
            Assert.That(Transformed(single, interleaved), Is.EqualTo(Butterflies(single, interleaved)));
            Assert.That(Transformed(full, interleaved), Is.EqualTo(Butterflies(full, interleaved)));
        }
    }

    [Test]
    public void Mix_EveryBlockLength_EqualsScalarSumsBitForBit([Values(1, 2, 8, 12, 16, 24)] int length)
    {
        const int Order = 12;
        float[] source = new float[Order * length], signs = new float[Order * Order], actual = new float[Order * length];
        Philox.Normal(seed: 3, RandomPurpose.Test, item: 0, source);
        Philox.Signs(seed: 3, RandomPurpose.Test, item: 1, signs);
        WalshHadamard.Mix(source, signs, Order, new float[WalshHadamard.StripLength<float>(Order)], actual);
        float[] expected = new float[Order * length];
        for (int i = 0; i < expected.Length; i++)
        {
            (int block, int j) = Math.DivRem(i, length);
            expected[i] = source[j] * signs[block * Order];
            for (int k = 1; k < Order; k++)
                expected[i] += source[k * length + j] * signs[block * Order + k];
        }
        Assert.That(actual, Is.EqualTo(expected));
    }

    private static T[] Transformed<T>(T[] x, int interleaved) where T : unmanaged, IFloatingPointIeee754<T>
    {
        T[] result = [.. x];
        WalshHadamard.Transform<T>(result, interleaved);
        return result;
    }

    private static T[] Butterflies<T>(T[] x, int interleaved) where T : unmanaged, IFloatingPointIeee754<T>
    {
        T[] result = [.. x];
        for (int h = interleaved; h < x.Length; h *= 2)
        {
            for (int i = 0; i < x.Length; i++)
            {
                if (i / h % 2 == 0)
                    (result[i], result[i + h]) = (result[i] + result[i + h], result[i] - result[i + h]);
            }
        }
        return result;
    }
}
