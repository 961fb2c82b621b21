using System.Runtime.CompilerServices;
using FastKron.Native.Cuda;
using NUnit.Framework;

namespace FastKron.Native.Tests.Cuda;

public sealed class CudaTensorMapTests
{
    [Test]
    public void Size_IsThatOfCUtensorMap() => Assert.That(Unsafe.SizeOf<CudaTensorMap>(), Is.EqualTo(128));

    [TestCase(0, 0, 0)]
    [TestCase(6, 5, 6)]
    [TestCase(2, 2, 2)]
    [TestCase(2, 1, 1)]
    public void OfBF16_CountsThatDoNotFit_ThrowsArgumentException(int sizes, int strides, int box)
    {
        Assert.That(() => CudaTensorMap.OfBF16(0, new long[sizes], new long[strides], new int[box]),
            Throws.ArgumentException.With.Message.StartsWith($"tensor map: {sizes} sizes, {strides} strides, box of {box}"));
    }

    [Test]
    [RequiresGpu]
    public void OfBF16_StrideThatIsNoMultipleOf8_ThrowsCudaException()
    {
        using var context = new CudaContext();
        context.SetCurrent();
        using var memory = new CudaDeviceVariable<ushort>(64 * 64);
        Assert.That(() => CudaTensorMap.OfBF16(memory.DevicePointer, [64, 60], [68], [64, 64]), Throws.TypeOf<CudaException>());
        Assert.That(() => CudaTensorMap.OfBF16(memory.DevicePointer, [64, 60], [64], [64, 64]), Throws.Nothing);
    }
}
