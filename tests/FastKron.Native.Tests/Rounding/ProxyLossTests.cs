using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Rounding;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Rounding;

public sealed class ProxyLossTests
{
    [Test]
    public void OfResidual_ExactResidual_IsTheDenseTrace(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string name, [Values] bool withOut, [Values] bool withIn)
    {
        const int Rows = 144, Columns = 176;
        using IBackend backend = Backends.Create(name);
        DenseMatrix lOut = DenseMatrix.DyadicLower(Rows, seed: 1), lIn = DenseMatrix.DyadicLower(Columns, seed: 2);
        DenseMatrix dOut = Blocks(Rows, seed: 3), dIn = Blocks(Columns, seed: 4), e = DenseMatrix.Dyadic(Rows, Columns, seed: 5);
        using DampedFactor? a = withOut ? Factor(backend, lOut, dOut) : null, b = withIn ? Factor(backend, lIn, dIn) : null;
        DenseMatrix upper = withOut ? (DenseMatrix.Identity(Rows) + lOut).Transposed : DenseMatrix.Identity(Rows);
        DenseMatrix lower = withIn ? DenseMatrix.Identity(Columns) + lIn : DenseMatrix.Identity(Columns);
        DenseMatrix denseOut = withOut ? upper.Transposed * dOut * upper : upper, denseIn = withIn ? lower * dIn * lower.Transposed : lower;
        double expected = DenseMatrix.Loss(e, denseOut, denseIn);

        // S is exact in float32 (dyadic data), the rest is float64.
        using Tensor s = (upper * e * lower).Upload(backend), x = e.Upload(backend);
        Assert.That(ProxyLoss.OfResidual(backend, s, a, b), Is.EqualTo(expected).Within(1e-9 * expected));
        Assert.That(ProxyLoss.OfMatrix(backend, x, a, b), Is.EqualTo(expected).Within(1e-9 * expected));
    }

    private static DenseMatrix Blocks(int size, uint seed)
    {
        DenseMatrix h = DenseMatrix.Covariance(size, seed);
        return DenseMatrix.From(size, size, (i, j) => i / 16 == j / 16 ? h[i, j] : 0);
    }

    private static DampedFactor Factor(IBackend backend, DenseMatrix l, DenseMatrix d) =>
        new(l.Upload(backend), DenseMatrix.From(d.Rows, 16, (i, j) => d[i, i / 16 * 16 + j]).Upload(backend, DType.F64), Damping: 0);
}
