using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FsCheck;
using FsCheck.Fluent;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Cpu;

[Category("Simd")]
public sealed class ElementConversionTests
{
    private static readonly float[] Corners =
    [
        0f, -0f, 1f, float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.MaxValue, -float.MaxValue, float.Epsilon,
        .. new uint[]
        {
            0x3F80_8000, 0x3F81_8000, 0x3F80_8001,   // ties, down to even and up to even; just above a tie
            0x7F80_0001, 0xFFFF_FFFF, 0x7F7F_8000,   // a NaN whose upper half is an infinity, a NaN that would overflow, the least that rounds to infinity
        }.Select(BitConverter.UInt32BitsToSingle),
    ];

    [Test]
    public void Convert_EveryBFloat16_SurvivesFloat32()
    {
        using CpuBackend backend = new();
        using Tensor source = backend.Allocate(DType.BF16, 256, 256), back = backend.Allocate(DType.BF16, 256, 256);
        using Tensor wide = backend.Allocate(DType.F32, 256, 256);
        Span<BFloat16> bits = source.AsSpan<BFloat16>();
        for (int i = 0; i < bits.Length; i++)
            bits[i] = new BFloat16((ushort)i);
        backend.Convert(source, wide);
        backend.Convert(wide, back);
        for (int i = 0; i < bits.Length; i++)
        {
            Assert.That(BitConverter.SingleToUInt32Bits(wide.AsSpan<float>()[i]), Is.EqualTo((uint)i << 16));
            bool signalling = (i & 0x7F80) == 0x7F80 && (i & 0x7F) != 0 && (i & 0x40) == 0;
            Assert.That(back.AsSpan<BFloat16>()[i].Bits, Is.EqualTo(signalling ? i | 0x40 : i));
        }
    }

    [Test]
    public void Convert_FloatCorners_RoundsAsBFloat16Does()
    {
        // Repeated, so that each number is met both in a vector and in the rest after it.
        float[] values = [.. Enumerable.Range(0, 7).SelectMany(_ => Corners)];
        using CpuBackend backend = new();
        using Tensor source = backend.Allocate(DType.F32, 1, values.Length), target = backend.Allocate(DType.BF16, 1, values.Length);
        backend.Upload<float>(values, source);
        backend.Convert(source, target);
        Assert.That(target.AsSpan<BFloat16>().ToArray(), Is.EqualTo(Array.ConvertAll(values, BFloat16.FromSingle)));
    }

    // Rounding to float32 first would take 1 + 2⁻⁸ + 2⁻⁴⁰ to a tie and then down.
    [Test]
    public void Convert_DoubleJustAboveATie_IsRoundedOnce()
    {
        Assert.That(ElementConversion.ToBFloat16(1 + Math.ScaleB(1, -8) + Math.ScaleB(1, -40)).ToSingle(), Is.EqualTo(1 + Math.ScaleB(1, -7)));
        Assert.That(ElementConversion.ToBFloat16(1 + Math.ScaleB(3, -8) - Math.ScaleB(1, -40)).ToSingle(), Is.EqualTo(1 + Math.ScaleB(1, -7)));
        Assert.That(ElementConversion.ToBFloat16(double.MaxValue).ToSingle(), Is.EqualTo(float.PositiveInfinity));
        Assert.That(ElementConversion.ToBFloat16(double.NaN).ToSingle(), Is.NaN);
    }

    [Test]
    public void ToBFloat16_AnyDouble_HasNoNearerNeighbour()
    {
        Prop.ForAll((NormalFloat value) =>
        {
            ushort bits = ElementConversion.ToBFloat16(value.Get).Bits;
            double Distance(int neighbour) => Math.Abs(new BFloat16((ushort)neighbour).ToSingle() - value.Get);
            bool isZero = (bits & 0x7FFF) == 0, isInfinite = (bits & 0x7FFF) == 0x7F80;
            if (isInfinite)
                return Math.Abs(value.Get) > 3.3e38;
            return Distance(bits) <= Distance(bits + 1) && (isZero || Distance(bits) <= Distance(bits - 1));
        }).QuickCheckThrowOnFailure();
    }

    [Test]
    public void Convert_ShapesOrTypesThatDoNotFit_Throws()
    {
        using CpuBackend backend = new();
        using Tensor a = backend.Allocate(DType.F32, 3, 4), b = backend.Allocate(DType.F32, 4, 3);
        using Tensor ids = backend.Allocate(DType.I32, 3, 4), copy = backend.Allocate(DType.I32, 3, 4);
        Assert.That(() => backend.Convert(a, b), Throws.ArgumentException.With.Message.Contains("expected shape (3, 4)"));
        Assert.That(() => backend.Convert(a, ids), Throws.ArgumentException.With.Message.Contains("found I32"));
        backend.Upload<int>([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], ids);
        backend.Convert(ids, copy);
        Assert.That(copy.AsSpan<int>().ToArray(), Is.EqualTo(ids.AsSpan<int>().ToArray()));
    }

    [Test]
    public void UploadAndDownload_OtherTypeOrLength_Throws()
    {
        using CpuBackend backend = new();
        using Tensor a = backend.Allocate(DType.F32, 3, 4);
        Assert.That(() => backend.Upload<int>(new int[12], a), Throws.ArgumentException.With.Message.Contains("expected elements of F32, found Int32"));
        Assert.That(() => backend.Upload<float>(new float[11], a), Throws.ArgumentException.With.Message.Contains("expected 12 elements"));
        Assert.That(() => backend.Download<double>(a, new double[12]), Throws.ArgumentException);
    }
}
