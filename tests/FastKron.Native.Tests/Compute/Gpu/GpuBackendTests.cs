using FastKron.Native.Compute;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Compute.Reference;
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
    public void Allocate_BeyondTheLimit_SaysWhoSetItAndGivesTheRestAway()
    {
        const long Limit = 1 << 30;
        using var backend = new GpuBackend(0, Limit);
        Assert.That(backend.AvailableBytes, Is.LessThanOrEqualTo(Limit));
        Assert.That(
            () => backend.Allocate(DType.BF16, 1 << 10, 1 << 19),
            Throws.InstanceOf<OutOfMemoryException>().With.Message.Contains("1,073,741,824 bytes").And.Message.Contains("of 1,073,741,824 that --device allows"));
        long available = backend.AvailableBytes;
        using (Tensor large = backend.Allocate(DType.BF16, 1 << 10, 1 << 18))
            Assert.That(backend.AvailableBytes, Is.EqualTo(available - (1L << 29)));
        Assert.That(backend.AvailableBytes, Is.EqualTo(available));
    }

    // What a thread frees that never worked with the device: the system soon gives the same addresses again, and their pages can be locked only once.
    [Test]
    public void AllocateHost_DisposedOnAnotherThread_UnlocksItsPages()
    {
        using var backend = new GpuBackend();
        for (int i = 0; i < 8; i++)
        {
            Tensor tensor = backend.AllocateHost(DType.F32, 4096, 4096);
            var thread = new Thread(tensor.Dispose);
            thread.Start();
            thread.Join();
        }
        Assert.That(backend.UsedHostBytes, Is.Zero);
    }

    [Test]
    public void Dispose_Twice_DoesNothingMore()
    {
        var backend = new GpuBackend();
        backend.Dispose();
        Assert.That(backend.Dispose, Throws.Nothing);
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

    // More columns than one update takes (1024), and no multiple of a panel (128).
    [Test]
    public void BlockLdl_LargeMatrices_RebuildsEachFromItsCholeskyFactor()
    {
        const int N = 2192, Matrices = 2;
        using var backend = new GpuBackend();
        float[] normal = new float[N * N];
        Philox.Normal(seed: 4, RandomPurpose.Test, item: 0, normal);
        using Tensor narrow = backend.Allocate(DType.F32, N, N), z = backend.Allocate(DType.F64, N, N), h = backend.Allocate(DType.F64, N, N), ones = backend.Allocate(DType.F64, N, 1);
        backend.Upload<float>(normal, narrow);
        backend.Convert(narrow, z);
        backend.SymmetricRankK(z, transposeA: false, h, 1.0 / N);
        backend.Fill(ones, 1);
        backend.Axpy(1, ones, h.Diagonal());

        using Tensor stack = backend.Allocate(DType.F64, Matrices * N, N), l = backend.Allocate(DType.F32, Matrices * N, N), product = backend.Allocate(DType.F64, N, N);
        using Tensor d = backend.Allocate(DType.F64, Matrices * N, 16), failures = backend.Allocate(DType.I32, Matrices, 1);
        for (int b = 0; b < Matrices; b++)
        {
            backend.Convert(h, stack.SliceRows(b * N, N));
            backend.Scale(b + 1, stack.SliceRows(b * N, N));
        }
        backend.BlockLdl(stack, 16, l, d, failures);
        int[] pivots = new int[Matrices];
        backend.Download<int>(failures, pivots);
        Assert.That(pivots, Has.All.Zero);
        for (int b = 0; b < Matrices; b++)
        {
            Tensor factor = stack.SliceRows(b * N, N);
            backend.MatMul(factor, false, factor, true, product);
            backend.Axpy(-(b + 1), h, product);
            double error = Math.Sqrt(backend.Dot(product, product) / backend.Dot(h, h)) / (b + 1);
            Assert.That(error, Is.LessThan(1e-13), "a condition of about 5, sums of 2,192 terms in float64");
        }
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
