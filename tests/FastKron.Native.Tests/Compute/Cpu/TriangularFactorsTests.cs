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
    public void Cholesky_NegativePivot_ReturnsItsIndex([ValueSource(nameof(Pivots))] int pivot, [Values(DType.F32, DType.F64)] DType type)
    {
        using CpuBackend backend = new();
        using Tensor a = Identity(backend, type, 130);
        backend.Fill(a.Slice(pivot - 1, 1, pivot - 1, 1), -1);
        Assert.That(backend.Cholesky(a), Is.EqualTo(pivot));
    }

    [Test]
    public void Cholesky_NotANumber_ReturnsTheIndexOfItsRow(
        [ValueSource(nameof(Pivots))] int pivot, [Values(double.NaN, double.PositiveInfinity)] double value)
    {
        using CpuBackend backend = new();
        using Tensor a = Identity(backend, DType.F64, 130);
        backend.Fill(a.Slice(pivot - 1, 1, pivot / 2, 1), value);
        Assert.That(backend.Cholesky(a), Is.EqualTo(pivot));
    }

    [Test]
    public void Cholesky_UpperTriangleNotANumber_IsNotRead()
    {
        using CpuBackend backend = new();
        using Tensor a = Identity(backend, DType.F64, 100);
        for (int row = 0; row < 99; row++)
            backend.Fill(a.Slice(row, 1, row + 1, 99 - row), double.NaN);
        Assert.That(backend.Cholesky(a), Is.Zero);
        using Tensor expected = Identity(backend, DType.F64, 100);
        Assert.That(a.AsSpan<double>().ToArray(), Is.EqualTo(expected.AsSpan<double>().ToArray()));
    }

    [Test]
    public void Cholesky_TimesItsTranspose_GivesTheMatrixBack([Values(1, 64, 129, 300)] int n)
    {
        using CpuBackend backend = new();
        using MatrixOperands operands = new(backend);
        Tensor h = operands.PositiveDefinite(DType.F64, n), l = operands.Output(DType.F64, n, n), product = operands.Output(DType.F64, n, n);
        backend.Convert(h, l);
        Assert.That(backend.Cholesky(l), Is.Zero);
        backend.SymmetricRankK(l, false, product);

        // hessians-and-rounding.md section 8, invariant 8.
        Assert.That(operands.Error(product, operands.Read(h)), Is.LessThan(1e-12));
    }

    [Test]
    public void TriangularInverse_TimesTheTriangle_GivesTheIdentity([Values(1, 64, 129, 300)] int n)
    {
        using CpuBackend backend = new();
        using MatrixOperands operands = new(backend);
        Tensor l = operands.LowerTriangle(DType.F64, n), inverse = operands.Output(DType.F64, n, n), product = operands.Output(DType.F64, n, n);
        backend.Convert(l, inverse);
        backend.TriangularInverse(inverse);
        backend.MatMul(inverse, false, l, false, product);
        using Tensor identity = Identity(backend, DType.F64, n);

        // Condition of the triangle (about 10) · n roundings.
        Assert.That(operands.Error(product, operands.Read(identity)), Is.LessThan(1e-12));
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
        Assert.That(backend.BlockLdl(h, block, l, d), Is.Zero);
        double[] rebuilt = Rebuild(operands.Read(l), operands.Read(d), N, block);

        // l is float32: half an ulp (6e-8) of elements below 1, in sums of up to 208 terms of either sign.
        Assert.That(rebuilt, Is.EqualTo(expected).Within(1e-6));
    }

    [Test]
    public void BlockLdl_IndefiniteMatrix_ReturnsThePivot()
    {
        using CpuBackend backend = new();
        using Tensor h = Identity(backend, DType.F64, 96), l = backend.Allocate(DType.F32, 96, 96), d = backend.Allocate(DType.F64, 96, 16);
        backend.Fill(h.Slice(70, 1, 70, 1), 0);
        Assert.That(backend.BlockLdl(h, 16, l, d), Is.EqualTo(71));
    }

    [Test]
    public void BlockLdl_ArgumentsThatDoNotFit_Throws()
    {
        using CpuBackend backend = new();
        using Tensor h = Identity(backend, DType.F64, 96), l = backend.Allocate(DType.F32, 96, 96), d = backend.Allocate(DType.F64, 96, 16);
        Assert.That(() => backend.BlockLdl(h, 20, l, d), Throws.ArgumentException.With.Message.Contains("divisor of 96"));
        Assert.That(() => backend.BlockLdl(h, 32, l, d), Throws.ArgumentException.With.Message.Contains("d: expected shape (96, 32)"));
        Assert.That(() => backend.BlockLdl(l, 16, l, d), Throws.ArgumentException.With.Message.Contains("h: expected F64"));
        Assert.That(() => backend.Cholesky(d), Throws.ArgumentException.With.Message.Contains("square"));
        Assert.That(() => backend.TriangularInverse(d), Throws.ArgumentException.With.Message.Contains("square"));
    }

    [Test]
    public void Factors_AnyNumberOfThreads_GiveTheSameBits()
    {
        double[] Factor(int threads)
        {
            using CpuBackend backend = new(threads);
            using MatrixOperands operands = new(backend);
            Tensor h = operands.PositiveDefinite(DType.F64, 320), l = operands.Output(DType.F32, 320, 320), d = operands.Output(DType.F64, 320, 16);
            backend.BlockLdl(h, 16, l, d);
            double[] factor = operands.Read(h);
            backend.TriangularInverse(h);
            return [.. factor, .. operands.Read(h), .. operands.Read(l), .. operands.Read(d)];
        }

        Assert.That(Factor(5), Is.EqualTo(Factor(1)));
    }

    private static Tensor Identity(CpuBackend backend, DType type, int n)
    {
        Tensor identity = backend.Allocate(type, n, n);
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
