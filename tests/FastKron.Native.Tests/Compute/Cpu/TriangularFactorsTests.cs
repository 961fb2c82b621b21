using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Cpu;

[Category("Simd")]
public sealed class TriangularFactorsTests
{
    // In the first leaf, at its edge, in later halves, and the last row.
    private static readonly int[] Pivots = [1, 2, 64, 65, 100, 130];

    [Test]
    public void InverseRoot_NegativePivot_ReturnsItsIndex([ValueSource(nameof(Pivots))] int pivot)
    {
        using CpuBackend backend = new();
        using Tensor a = Identity(backend, 130);
        backend.Fill(a.Slice(pivot - 1, 1, pivot - 1, 1), -1);
        Assert.That(backend.InverseRoot(a, out _), Is.EqualTo(pivot));
    }

    [Test]
    public void InverseRoot_NotANumber_ReturnsTheIndexOfItsRow(
        [ValueSource(nameof(Pivots))] int pivot, [Values(double.NaN, double.PositiveInfinity)] double value)
    {
        using CpuBackend backend = new();
        using Tensor a = Identity(backend, 130);
        backend.Fill(a.Slice(pivot - 1, 1, pivot / 2, 1), value);
        Assert.That(backend.InverseRoot(a, out _), Is.EqualTo(pivot));
    }

    [Test]
    public void InverseRoot_UpperTriangleNotANumber_IsNotRead()
    {
        using CpuBackend backend = new();
        using Tensor a = Identity(backend, 100);
        for (int row = 0; row < 99; row++)
            backend.Fill(a.Slice(row, 1, row + 1, 99 - row), double.NaN);
        Assert.That(backend.InverseRoot(a, out _), Is.Zero);
        using Tensor expected = Identity(backend, 100);
        Assert.That(a.AsSpan<double>().ToArray(), Is.EqualTo(expected.AsSpan<double>().ToArray()));
    }

    [Test]
    public void InverseRoot_AroundTheMatrix_GivesTheIdentity([Values(1, 64, 129, 300)] int n)
    {
        using CpuBackend backend = new();
        using MatrixOperands operands = new(backend);
        Tensor h = operands.PositiveDefinite(DType.F64, n), root = operands.Output(DType.F64, n, n);
        Tensor half = operands.Output(DType.F64, n, n), product = operands.Output(DType.F64, n, n);
        backend.Convert(h, root);
        Assert.That(backend.InverseRoot(root, out double logDeterminant), Is.Zero);
        backend.MatMul(root, false, h, false, half);
        backend.MatMul(half, false, root, true, product);
        using Tensor identity = Identity(backend, n);

        // hessians-and-rounding.md section 8, invariant 8; a condition of about 10.
        Assert.That(operands.Error(product, operands.Read(identity)), Is.LessThan(1e-12));
        double[] values = operands.Read(root);
        double sum = Enumerable.Range(0, n).Sum(i => -2 * Math.Log(values[i * (n + 1)]));
        Assert.That(logDeterminant, Is.EqualTo(sum).Within(1e-11));
    }

    [Test]
    public void BlockLdl_Reference_RebuildsTheMatrixWithUnitDiagonalBlocks([Values(1, 4, 16)] int block)
    {
        const int N = 48;
        using CpuBackend backend = new();
        using MatrixOperands operands = new(backend);
        double[] h = operands.Read(operands.PositiveDefinite(DType.F64, N)), l = new double[N * N], d = new double[N * block], factor = [.. h];
        Assert.That(MatrixOperations.BlockLdl(factor, N, block, l, d), Is.Zero);
        double[] rebuilt = Rebuild(l, d, N, block);
        for (int i = 0; i < N * N; i++)
        {
            Assert.That(rebuilt[i], Is.EqualTo(h[i]).Within(1e-12));
            if (i % N / block >= i / N / block)
                Assert.That(l[i], Is.Zero);
        }
    }

    [Test]
    public void BlockLdl_RebuildsTheMatrix([Values(1, 16)] int block)
    {
        const int N = 208;
        using CpuBackend backend = new();
        using MatrixOperands operands = new(backend);
        Tensor h = operands.PositiveDefinite(DType.F64, N), l = operands.Output(DType.F32, N, N), d = operands.Output(DType.F64, N, block);
        double[] expected = operands.Read(h);
        using Tensor failures = backend.Allocate(DType.I32, 1, 1);
        backend.BlockLdl(h, block, l, d, failures);
        Assert.That(failures.Row<int>(0)[0], Is.Zero);
        double[] rebuilt = Rebuild(operands.Read(l), operands.Read(d), N, block);

        // l is float32: half an ulp (6e-8) of elements below 1, in sums of up to 208 terms of either sign.
        Assert.That(rebuilt, Is.EqualTo(expected).Within(1e-6));
    }

    [Test]
    public void BlockLdl_IndefiniteAmongOthers_GivesItsPivotAloneAway([ValueSource(typeof(Backends), nameof(Backends.Names))] string name)
    {
        using IBackend backend = Backends.Create(name);
        using Tensor h = backend.Allocate(DType.F64, 3 * 96, 96), l = backend.Allocate(DType.F32, 3 * 96, 96), d = backend.Allocate(DType.F64, 3 * 96, 16);
        using Tensor failures = backend.Allocate(DType.I32, 3, 1);
        backend.Fill(h, 0);
        for (int b = 0; b < 3; b++)
            backend.Fill(h.SliceRows(b * 96, 96).Diagonal(), b + 1);
        backend.Fill(h.Slice(96 + 70, 1, 70, 1), 0);
        backend.BlockLdl(h, 16, l, d, failures);
        int[] pivots = new int[3];
        backend.Download<int>(failures, pivots);
        Assert.That(pivots, Is.EqualTo(new[] { 0, 71, 0 }));
        double[] last = new double[96 * 16];
        backend.Download<double>(d.SliceRows(2 * 96, 96), last);
        Assert.That(Enumerable.Range(0, 96).Select(i => last[i * 16 + i % 16]), Is.All.EqualTo(3).Within(1e-14), "√3 twice");
    }

    [Test]
    public void BlockLdl_ArgumentsThatDoNotFit_Throws()
    {
        using CpuBackend backend = new();
        using Tensor h = Identity(backend, 96), l = backend.Allocate(DType.F32, 96, 96), d = backend.Allocate(DType.F64, 96, 16);
        using Tensor failures = backend.Allocate(DType.I32, 1, 1);
        Assert.That(() => backend.BlockLdl(h, 20, l, d, failures), Throws.ArgumentException.With.Message.Contains("divisor of 96"));
        Assert.That(() => backend.BlockLdl(h, 32, l, d, failures), Throws.ArgumentException.With.Message.Contains("d: expected shape (96, 32)"));
        Assert.That(() => backend.BlockLdl(l, 16, l, d, failures), Throws.ArgumentException.With.Message.Contains("h: expected F64"));
        Assert.That(() => backend.BlockLdl(h.SliceRows(0, 48), 16, l, d, failures), Throws.ArgumentException.With.Message.Contains("h: expected shape (96, 96)"));
        Assert.That(() => backend.InverseRoot(d, out _), Throws.ArgumentException.With.Message.Contains("h: expected shape (16, 16)"));
        Assert.That(() => backend.InverseRoot(l, out _), Throws.ArgumentException.With.Message.Contains("h: expected F64"));
    }

    [Test]
    public void Factors_AnyNumberOfThreads_GiveTheSameBits()
    {
        double[] Factor(int threads)
        {
            using CpuBackend backend = new(threads);
            using MatrixOperands operands = new(backend);
            Tensor h = operands.PositiveDefinite(DType.F64, 320), l = operands.Output(DType.F32, 320, 320), d = operands.Output(DType.F64, 320, 16);
            Tensor root = operands.Holding(operands.Read(h), DType.F64, 320, 320);
            using Tensor failures = backend.Allocate(DType.I32, 1, 1);
            backend.BlockLdl(h, 16, l, d, failures);
            backend.InverseRoot(root, out _);
            double[] factor = operands.Read(root);
            return [.. factor, .. operands.Read(h), .. operands.Read(l), .. operands.Read(d)];
        }

        Assert.That(Factor(5), Is.EqualTo(Factor(1)));
    }

    private static Tensor Identity(CpuBackend backend, int n)
    {
        Tensor identity = backend.Allocate(DType.F64, n, n);
        backend.Fill(identity, 0);
        backend.Fill(identity.Diagonal(), 1);
        return identity;
    }

    /// <summary>(I + l) D (I + l)ᵀ.</summary>
    private static double[] Rebuild(double[] l, double[] d, int n, int block)
    {
        double[] unit = [.. l], scaled = new double[n * n], rebuilt = new double[n * n];
        for (int i = 0; i < n; i++)
            unit[i * n + i] = 1;
        for (int row = 0; row < n; row++)
        {
            for (int column = 0; column < n; column++)
            {
                int start = column / block * block;
                for (int p = 0; p < block; p++)
                    scaled[row * n + column] += unit[row * n + start + p] * d[(start + p) * block + column - start];
            }
        }
        MatrixOperations.MatMul(scaled, false, unit, true, n, n, n, rebuilt);
        return rebuilt;
    }
}
