using FastKron.Native.Compute;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Compute.Tensors;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Gpu;

[RequiresGpu]
public sealed class GpuBackendTests
{
    // More than the ring of staging slots holds (16 MiB), and no multiple of a slot.
    private const int Rows = 2051, Columns = 2113;

    [Test]
    public void UploadDownload_MoreThanTheStagingRing_RestoresEveryElement([Values] bool gaps)
    {
        using var backend = new GpuBackend();
        using Tensor owner = backend.Allocate(DType.F32, Rows, Columns + (gaps ? 3 : 0));
        Tensor tensor = owner.SliceColumns(gaps ? 1 : 0, Columns);
        float[] expected = [.. Enumerable.Range(0, Rows * Columns).Select(i => (float)i)], actual = new float[expected.Length];
        float[] source = [.. expected];
        backend.Upload<float>(source, tensor);
        Array.Clear(source);
        backend.Download<float>(tensor, actual);
        Assert.That(actual.AsSpan().SequenceEqual(expected));
    }

    [Test]
    public void Allocate_MoreThanTheDevice_SaysBytesAndOptionsAndLeavesTheBackendUsable()
    {
        using var backend = new GpuBackend();
        Assert.That(
            () => backend.Allocate(DType.F64, 1 << 20, 1 << 21), // 16 TiB
            Throws.InstanceOf<OutOfMemoryException>().With.Message.Contains("17,592,186,044,416").And.Message.Contains("--gradients"));
        using Tensor small = backend.Allocate(DType.F64, 3, 5);
        backend.Fill(small, 2);
        Assert.That(backend.Dot(small, small), Is.EqualTo(60));
    }

    [Test]
    public void PeakBytes_AfterDisposal_StaysWhileUsedBytesFall()
    {
        using var backend = new GpuBackend();
        long before = backend.UsedBytes;
        backend.Allocate(DType.F32, 1024, 1024).Dispose();
        Assert.That(backend.UsedBytes, Is.EqualTo(before));
        Assert.That(backend.PeakBytes, Is.EqualTo(before + (4 << 20)));
    }

    [Test]
    public void InverseRoot_BadPivot_ReturnsItsIndex([Values(-1.0, double.NaN, double.PositiveInfinity)] double pivot, [Values(6, 131, 299)] int index)
    {
        using var backend = new GpuBackend();
        using Tensor a = backend.Allocate(DType.F64, 300, 300);
        backend.Fill(a, 0);
        backend.Fill(a.Diagonal(), 1);
        backend.Fill(a.Slice(index - 1, 1, index - 1, 1), pivot);
        Assert.That(backend.InverseRoot(a, out _), Is.EqualTo(index));
    }

    [Test]
    public void SymmetricRankK_Twice_GivesTheSameBytes([Values(DType.BF16, DType.F32)] DType type)
    {
        using var backend = new GpuBackend();
        using var operands = new MatrixOperands(backend);
        Tensor a = operands.Normal(type, 300, 4100), first = operands.Output(DType.F32, 300, 300), second = operands.Output(DType.F32, 300, 300);
        backend.SymmetricRankK(a, false, first);
        backend.SymmetricRankK(a, false, second);
        Assert.That(operands.Read(second), Is.EqualTo(operands.Read(first)));
    }
}
