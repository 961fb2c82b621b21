using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Rounding;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Rounding;

public sealed class ProxyLossTests
{
    [Test]
    public void OfWeights_SeveralMatrices_IsTheDenseTrace(
        [ValueSource(typeof(Backends), nameof(Backends.Names))] string name, [Values] bool withOut, [Values] bool withIn)
    {
        const int Count = 2, Rows = 144, Columns = 176;
        using IBackend backend = Backends.Create(name);
        DenseMatrix[] lOut = [.. Range.Select(b => DenseMatrix.DyadicLower(Rows, seed: 1 + b))], lIn = [.. Range.Select(b => DenseMatrix.DyadicLower(Columns, seed: 11 + b))];
        DenseMatrix[] dOut = [.. Range.Select(b => Blocks(Rows, seed: 21 + b))], dIn = [.. Range.Select(b => Blocks(Columns, seed: 31 + b))];
        DenseMatrix[] x = [.. Range.Select(b => DenseMatrix.Dyadic(Rows, Columns, seed: 41 + b))];

        using Tensor w = DenseMatrix.Stack(x).Upload(backend), u = backend.Allocate(DType.F32, w.Rows, w.Columns), v = backend.Allocate(DType.F32, w.Rows, w.Columns);
        using Tensor? l1 = withOut ? DenseMatrix.Stack(lOut).Upload(backend) : null, l2 = withIn ? DenseMatrix.Stack(lIn).Upload(backend) : null;
        using Tensor? d1 = withOut ? Packed(dOut).Upload(backend, DType.F64) : null, d2 = withIn ? Packed(dIn).Upload(backend, DType.F64) : null;
        using Tensor losses = backend.Allocate(DType.F64, Count, 1);
        ProxyLoss.OfWeights(backend, new RoundingBatch(Count, w, u, v, l1, l2), d1, d2, losses);
        DenseMatrix actual = DenseMatrix.Download(backend, losses);
        for (int b = 0; b < Count; b++)
        {
            double expected = DenseMatrix.Loss(x[b], withOut ? Metric(lOut[b], dOut[b]) : DenseMatrix.Identity(Rows), withIn ? Metric(lIn[b], dIn[b]) : DenseMatrix.Identity(Columns));

            // In float32 the products of dyadic numbers are exact; bfloat16 rounds them by 2⁻⁹ at random, in a sum of 25 344 squares.
            Assert.That(actual[b, 0], Is.EqualTo(expected).Within((backend.ActivationType == DType.F32 ? 1e-9 : 1e-3) * expected));
        }
    }

    private static uint[] Range => [0, 1];

    // (I + l) D (I + l)ᵀ
    private static DenseMatrix Metric(DenseMatrix lower, DenseMatrix d)
    {
        DenseMatrix l = DenseMatrix.Identity(lower.Rows) + lower;
        return l * d * l.Transposed;
    }

    private static DenseMatrix Blocks(int size, uint seed)
    {
        DenseMatrix h = DenseMatrix.Covariance(size, seed);
        return DenseMatrix.From(size, size, (i, j) => i / 16 == j / 16 ? h[i, j] : 0);
    }

    private static DenseMatrix Packed(DenseMatrix[] d) => DenseMatrix.Stack([.. d.Select(x => DenseMatrix.From(x.Rows, 16, (i, j) => x[i, i / 16 * 16 + j]))]);
}
