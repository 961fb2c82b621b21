using System.Runtime.InteropServices;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

[Category("Simd")]
public sealed class FiniteValuesTests
{
    // Largest kept and smallest refused number of each pair, by their bits; both signs.
    [TestCase(DType.F32, DType.F32, 0x7F7FFFFFu, 0x7F800000u)]
    [TestCase(DType.F32, DType.BF16, 0x7F7F7FFFu, 0x7F7F8000u)]
    [TestCase(DType.F32, DType.F16, 0x477FEFFFu, 0x477FF000u)]
    [TestCase(DType.BF16, DType.F32, 0x7F7Fu, 0x7F80u)]
    [TestCase(DType.BF16, DType.BF16, 0x7F7Fu, 0x7FC0u)]
    [TestCase(DType.BF16, DType.F16, 0x477Fu, 0x4780u)]
    [TestCase(DType.F16, DType.F32, 0x7BFFu, 0x7C00u)]
    [TestCase(DType.F16, DType.BF16, 0x7BFFu, 0x7E00u)]
    public void IndexOfFirstBeyond_AnyLengthPositionAndAlignment_FindsTheFirst(DType stored, DType read, uint kept, uint refused)
    {
        int size = stored.Size();
        uint sign = stored == DType.F32 ? 0x8000_0000 : 0x8000;
        foreach (int length in new[] { 0, 1, 7, 31, 64, 70 })
        {
            byte[] bytes = new byte[length * size + 1];
            Span<byte> values = bytes.AsSpan(1);                  // safetensors promises no alignment
            for (int i = 0; i < length; i++)
                Set(values, i, size, i % 2 == 0 ? kept : kept | sign);
            Assert.That(FiniteValues.IndexOfFirstBeyond(values, stored, read), Is.EqualTo(-1));
            for (int i = length - 1; i >= 0; i--)
            {
                Set(values, i, size, i % 3 == 0 ? refused : refused | sign);
                Assert.That(FiniteValues.IndexOfFirstBeyond(values, stored, read), Is.EqualTo(i));
            }
        }
    }

    // Rounding decides what is refused: the limits are those of the conversions themselves.
    [Test]
    public void IndexOfFirstBeyond_Limits_AreWhereTheConversionsOverflow()
    {
        Assert.Multiple(() =>
        {
            Assert.That((float)(Half)BitConverter.UInt32BitsToSingle(0x477FEFFF), Is.EqualTo(65504f));
            Assert.That((float)(Half)BitConverter.UInt32BitsToSingle(0x477FF000), Is.EqualTo(float.PositiveInfinity));
            Assert.That(BFloat16.FromSingle(BitConverter.UInt32BitsToSingle(0x7F7F7FFF)).Bits, Is.EqualTo(0x7F7F));
            Assert.That(BFloat16.FromSingle(BitConverter.UInt32BitsToSingle(0x7F7F8000)).Bits, Is.EqualTo(0x7F80));
        });
    }

    private static void Set(Span<byte> values, int index, int size, uint bits) =>
        MemoryMarshal.AsBytes(new Span<uint>(ref bits))[..size].CopyTo(values[(index * size)..]);
}
