using System.Runtime.CompilerServices;
using FastKron.Native.Cuda;
using NUnit.Framework;

namespace FastKron.Native.Tests.Cuda;

// Sizes and offsets as the C compiler lays out the structures of cuda.h on 64-bit machines.
public sealed class DriverTypesTests
{
    [Test]
    public void Size_EveryStructure_IsThatOfCudaH()
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Unsafe.SizeOf<dim3>(), Is.EqualTo(12));
            Assert.That(Unsafe.SizeOf<CUmemPoolProps>(), Is.EqualTo(88));
            Assert.That(Unsafe.SizeOf<CULaunchConfig>(), Is.EqualTo(56));
            Assert.That(Unsafe.SizeOf<CULaunchAttribute>(), Is.EqualTo(72));
            Assert.That(Unsafe.SizeOf<CudaTensorMap>(), Is.EqualTo(128));
        }
    }

    [Test]
    public void Offsets_MemPoolProps_AreThoseOfCudaH()
    {
        CUmemPoolProps props = default;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Offset(ref props, ref props.HandleTypes), Is.EqualTo(4));
            Assert.That(Offset(ref props, ref props.LocationType), Is.EqualTo(8));
            Assert.That(Offset(ref props, ref props.LocationId), Is.EqualTo(12));
            Assert.That(Offset(ref props, ref props.SecurityAttributes), Is.EqualTo(16));
            Assert.That(Offset(ref props, ref props.MaxSize), Is.EqualTo(24));
        }
    }

    [Test]
    public void Offsets_Launch_AreThoseOfCudaH()
    {
        CULaunchConfig config = default;
        CULaunchAttribute attribute = default;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Offset(ref config, ref config.Block), Is.EqualTo(12));
            Assert.That(Offset(ref config, ref config.SharedBytes), Is.EqualTo(24));
            Assert.That(Offset(ref config, ref config.Stream), Is.EqualTo(32));
            Assert.That(Offset(ref config, ref config.AttributeCount), Is.EqualTo(48));
            Assert.That(Offset(ref attribute, ref attribute.Cluster), Is.EqualTo(8));
        }
    }

    private static int Offset<TStruct, TField>(ref TStruct whole, ref TField field) =>
        (int)Unsafe.ByteOffset(ref Unsafe.As<TStruct, byte>(ref whole), ref Unsafe.As<TField, byte>(ref field));
}
