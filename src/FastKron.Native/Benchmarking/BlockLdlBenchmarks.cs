using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarking;

/// <summary>Block LDLᵀ in float64 of as many factors as are made ready together; the copy of the matrices is part of it.</summary>
internal static class BlockLdlBenchmarks
{
    // smollm2-135m's sizes, then LLaMA-3-8B's.
    private static readonly (int Matrices, int Order)[] GpuSizes = [(60, 576), (28, 1536), (8, 4096), (1, 14336)], CpuSizes = [(1, 192), (1, 576)];

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        foreach ((int matrices, int n) in backend.ActivationType == DType.F32 ? CpuSizes : GpuSizes)
        {
            Tensor h = Covariance(backend, n), work = backend.Allocate(DType.F64, matrices * n, n), l = backend.Allocate(DType.F32, matrices * n, n);
            Tensor d = backend.Allocate(DType.F64, matrices * n, TileDiagonal.TileRows), failures = backend.Allocate(DType.I32, matrices, 1);
            Run();
            int[] pivots = new int[matrices];
            backend.Download<int>(failures, pivots);
            if (pivots.FirstOrDefault(p => p != 0) is var pivot and not 0)
                throw new InvalidOperationException($"pivot {pivot} of {n} is not positive");
            yield return new TimedOperation($"f64/{matrices}x{n}", BenchmarkUnit.Milliseconds, Run, h, work, l, d, failures) { Bytes = 2.0 * work.Bytes + l.Bytes };

            void Run()
            {
                for (int b = 0; b < matrices; b++)
                    backend.Convert(h, work.SliceRows(b * n, n));
                backend.BlockLdl(work, TileDiagonal.TileRows, l, d, failures);
            }
        }
    }

    // Z Zᵀ/n + I, whose condition number is about 5.
    private static Tensor Covariance(IBackend backend, int n)
    {
        Tensor h = backend.Allocate(DType.F64, n, n);
        using Tensor z = BenchmarkData.Normal(backend, DType.F32, n, n), wide = backend.Allocate(DType.F64, n, n), ones = backend.Allocate(DType.F64, n, 1);
        backend.Convert(z, wide);
        backend.SymmetricRankK(wide, transposeA: false, h, 1.0 / n);
        backend.Fill(ones, 1);
        backend.Axpy(1, ones, h.Diagonal());
        return h;
    }
}
