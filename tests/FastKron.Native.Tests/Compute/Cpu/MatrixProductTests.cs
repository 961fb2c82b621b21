using System.Runtime.InteropServices;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Cpu;

[Category("Simd")]
public sealed class MatrixProductTests
{
    // Few rows, one packed block, and (the last) several blocks in depth.
    private static readonly (int M, int N, int K)[] Shapes = [(2, 300, 500), (65, 300, 70), (200, 150, 33), (40, 60, 2500)];

    [Test]
    public void MatMul_AnyNumberOfThreads_GivesTheSameBits(
        [ValueSource(nameof(Shapes))] (int M, int N, int K) shape, [Values] bool transposeA, [Values] bool transposeB)
    {
        byte[] expected = Product(threads: 1, shape, transposeA, transposeB);
        Assert.That(Product(threads: 2, shape, transposeA, transposeB), Is.EqualTo(expected));
        Assert.That(Product(threads: 7, shape, transposeA, transposeB), Is.EqualTo(expected));
    }

    [Test]
    public void MatMul_BFloat16Result_IsTheFloat32ResultRoundedOnce([Values(1, 50)] int rows)
    {
        using CpuBackend backend = new();
        using MatrixOperands operands = new(backend);
        Tensor a = operands.Normal(DType.BF16, rows, 700), b = operands.Normal(DType.F32, 90, 700);
        Tensor wide = operands.Output(DType.F32, rows, 90), narrow = operands.Output(DType.BF16, rows, 90);
        backend.MatMul(a, false, b, true, wide);
        backend.MatMul(a, false, b, true, narrow);
        double[] expected = Array.ConvertAll(operands.Read(wide), value => (double)BFloat16.FromSingle((float)value).ToSingle());
        Assert.That(operands.Read(narrow), Is.EqualTo(expected));
    }

    [Test]
    public void MatMul_NotANumberInOneRowOfA_ReachesThatRowOnly([Values(3, 40)] int rows, [Values] bool transposeB)
    {
        using CpuBackend backend = new();
        using MatrixOperands operands = new(backend);
        Tensor a = operands.Normal(DType.F32, rows, 50), c = operands.Output(DType.F32, rows, 70);
        Tensor b = operands.Normal(DType.F32, transposeB ? 70 : 50, transposeB ? 50 : 70);
        a.Row<float>(1)[7] = float.NaN;
        a.Row<float>(2)[9] = float.PositiveInfinity;
        backend.MatMul(a, false, b, transposeB, c);
        for (int row = 0; row < rows; row++)
            Assert.That(c.Row<float>(row).ToArray(), Is.All.Matches<float>(row is 1 ? float.IsNaN : row is 2 ? float.IsInfinity : float.IsFinite));
    }

    [Test]
    public void MatMul_NoTermsOrNoElements_ScalesTheOldResult()
    {
        using CpuBackend backend = new();
        using Tensor empty = backend.Allocate(DType.F32, 3, 0), c = backend.Allocate(DType.F32, 3, 3), none = backend.Allocate(DType.F32, 0, 3);
        backend.Fill(c, 2);
        backend.MatMul(empty, false, empty, true, c, alpha: 1, beta: 0.5);
        Assert.That(c.AsSpan<float>().ToArray(), Is.All.EqualTo(1f));
        backend.MatMul(empty, false, empty, true, c);
        Assert.That(c.AsSpan<float>().ToArray(), Is.All.EqualTo(0f));
        Assert.That(() => backend.MatMul(none, false, c, false, none), Throws.Nothing);
    }

    [Test]
    public void MatMul_ArgumentsThatDoNotFit_ThrowsBeforeWriting()
    {
        using CpuBackend backend = new();
        using Tensor a = backend.Allocate(DType.F32, 4, 5), b = backend.Allocate(DType.F32, 5, 6), c = backend.Allocate(DType.F32, 4, 6);
        using Tensor wide = backend.Allocate(DType.F64, 5, 6), small = backend.Allocate(DType.F32, 4, 5), ids = backend.Allocate(DType.I32, 4, 5);
        backend.Fill(c, 3);
        Assert.That(() => backend.MatMul(a, false, b, true, c), Throws.ArgumentException.With.Message.Contains("b: expected shape"));
        Assert.That(() => backend.MatMul(a, false, b, false, small), Throws.ArgumentException.With.Message.Contains("c: expected shape (4, 6)"));
        Assert.That(() => backend.MatMul(a, false, wide, false, c), Throws.ArgumentException.With.Message.Contains("b: expected F32, BF16 or F16"));
        Assert.That(() => backend.MatMul(ids, false, b, false, c), Throws.ArgumentException.With.Message.Contains("I32"));
        Assert.That(() => backend.SymmetricRankK(a, false, c), Throws.ArgumentException);
        Assert.That(() => backend.Axpy(1, a, c), Throws.ArgumentException);
        Assert.That(() => backend.Dot(ids, small), Throws.ArgumentException);
        Assert.That(c.AsSpan<float>().ToArray(), Is.All.EqualTo(3f));
    }

    [Test]
    public void MatMul_OnOneThread_AllocatesNearlyNothing()
    {
        using CpuBackend backend = new(threads: 1);
        using MatrixOperands operands = new(backend);
        Tensor a = operands.Normal(DType.F32, 32, 64), b = operands.Normal(DType.BF16, 48, 64), c = operands.Output(DType.F32, 32, 48);
        const int Calls = 100;
        backend.MatMul(a, false, b, true, c);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int call = 0; call < Calls; call++)
            backend.MatMul(a, false, b, true, c);
        // Per call, over many: a call in the first JIT tier may allocate once (1,848 bytes were seen) what later ones keep in registers.
        Assert.That((GC.GetAllocatedBytesForCurrentThread() - before) / Calls, Is.LessThan(2048));
    }

    [Test]
    public void Dot_AnyNumberOfThreads_GivesTheSameBits()
    {
        using CpuBackend one = new(1), three = new(3);
        using MatrixOperands operands = new(one);
        Tensor x = operands.ContiguousNormal(DType.F32, 300, 999), y = operands.Normal(DType.BF16, 300, 999);
        Assert.That(three.Dot(x, y), Is.EqualTo(one.Dot(x, y)));
        Assert.That(three.Dot(x, x), Is.EqualTo(one.Dot(x, x)));
    }

    private static byte[] Product(int threads, (int M, int N, int K) shape, bool transposeA, bool transposeB)
    {
        var (m, n, k) = shape;
        using CpuBackend backend = new(threads);
        using MatrixOperands operands = new(backend);
        Tensor a = operands.Normal(DType.F32, transposeA ? k : m, transposeA ? m : k);
        Tensor b = operands.Normal(DType.BF16, transposeB ? n : k, transposeB ? k : n);
        Tensor c = operands.Output(DType.F32, m, n), gram = operands.Output(DType.F32, n, n);
        backend.MatMul(a, transposeA, b, transposeB, c, 0.7);
        backend.SymmetricRankK(b, !transposeB, gram);
        float[] values = new float[c.Length + gram.Length];
        backend.Download(c, values.AsSpan(0, (int)c.Length));
        backend.Download(gram, values.AsSpan((int)c.Length));
        return MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
    }
}
