using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarking;

/// <summary>Half-steps over a stack of K gradients, dense and triangular, beside two dense products, and the inverse root that a likelihood half-step needs.</summary>
internal static class KroneckerBenchmarks
{
    private static readonly (int M, int N, int K)[] DeviceShapes = [(4096, 4096, 75), (14336, 4096, 75), (4096, 14336, 75), (1536, 576, 75), (576, 1536, 75), (576, 576, 75)];
    private static readonly (int M, int N, int K)[] HostShapes = [(576, 576, 16)];

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        foreach ((int m, int n, int k) in backend.IsHost ? HostShapes : DeviceShapes)
        {
            foreach (KroneckerSide side in m == n ? [KroneckerSide.Rows] : new[] { KroneckerSide.Rows, KroneckerSide.Columns })
            {
                string name = $"{m}x{n}/K{k}/half-step", suffix = m == n ? "" : side == KroneckerSide.Rows ? "/rows" : "/columns";
                yield return HalfStep(backend, name + suffix, m, n, k, side, triangular: false);
                yield return HalfStep(backend, name + "-triangular" + suffix, m, n, k, side, triangular: true);
            }
        }
        foreach (int n in backend.IsHost ? [576] : new[] { 576, 1536, 4096, 14336 })
            yield return InverseRoot(backend, n);
    }

    // Textbook operations: the first product whole or half, the second half. The factor is the identity plus small numbers, below the diagonal only for the triangle.
    private static TimedOperation HalfStep(IBackend backend, string name, int m, int n, int k, KroneckerSide side, bool triangular)
    {
        bool rows = side == KroneckerSide.Rows;
        (int produced, int given) = rows ? (m, n) : (n, m);
        DType type = backend.IsHost ? DType.F32 : DType.BF16;
        Tensor stack = BenchmarkData.Normal(backend, DType.BF16, m, k * n), factor = BenchmarkData.Normal(backend, DType.F32, given, given, 1 / MathF.Sqrt(given));
        for (int row = 0; triangular && row < given - 1; row++)
            backend.Fill(factor.Slice(row, 1, row + 1, given - row - 1), 0);
        Tensor result = backend.Allocate(DType.F32, produced, produced), narrow = backend.Allocate(type, given, given), p = backend.Allocate(type, m, k * n);
        backend.Convert(factor, narrow);
        Tensor tall = stack.Reshape(m * k, n), tallP = p.Reshape(m * k, n);
        Action run = triangular ? () => backend.KroneckerGram(stack, k, side, factor, result) : () => backend.KroneckerApply(stack, k, side, factor, result);
        return new TimedOperation(name, BenchmarkUnit.Milliseconds, run, stack, factor, result, narrow, p)
        {
            Bytes = stack.Bytes + factor.Bytes + result.Bytes,
            Flops = k * (double)m * n * ((triangular ? 1 : 2) * given + produced),
            Rival = "two dense products",
            RunRival = () =>
            {
                backend.MatMul(rows ? tall : narrow, false, rows ? narrow : stack, rows, rows ? tallP : p);
                backend.MatMul(rows ? p : tallP, !rows, rows ? stack : tall, rows, result);
            },
        };
    }

    private static TimedOperation InverseRoot(IBackend backend, int n)
    {
        Tensor values = BenchmarkData.Normal(backend, DType.F32, n, n, 0.1f / MathF.Sqrt(n)), h = backend.Allocate(DType.F64, n, n), work = backend.Allocate(DType.F64, n, n);
        backend.Convert(values, h);
        using Tensor ones = backend.Allocate(DType.F64, n, 1);
        backend.Fill(ones, 1);
        backend.Axpy(2, ones, h.Diagonal());
        Tensor product = backend.Allocate(DType.F64, n, n);
        return new TimedOperation($"inverse-root/{n}", BenchmarkUnit.Milliseconds, Run, values, h, work, product)
        {
            Rival = "one float64 product of that order, three times the operations",
            RunRival = () => backend.MatMul(h, false, h, true, product),
        };

        void Run()
        {
            backend.Convert(h, work);
            if (backend.InverseRoot(work, out _) is not 0 and int failed)
                throw new InvalidOperationException($"the benchmark's matrix has no positive pivot at row {failed}");
        }
    }
}
