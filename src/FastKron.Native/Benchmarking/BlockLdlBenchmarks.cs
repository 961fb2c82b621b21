using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarking;

/// <summary>Block LDLᵀ in float64 of the sizes that factors have; the copy of the matrix and the wait for its success are part of it.</summary>
internal static class BlockLdlBenchmarks
{
    private static readonly int[] GpuSizes = [576, 1536, 4096, 14336], CpuSizes = [192, 576];

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        foreach (int n in backend.ActivationType == DType.F32 ? CpuSizes : GpuSizes)
        {
            Tensor h = Covariance(backend, n), work = backend.Allocate(DType.F64, n, n), l = backend.Allocate(DType.F32, n, n);
            Tensor d = backend.Allocate(DType.F64, n, TileDiagonal.TileRows);
            yield return new TimedOperation($"f64/{n}", BenchmarkUnit.Milliseconds, Run, h, work, l, d) { Bytes = 2.0 * h.Bytes + l.Bytes };

            void Run()
            {
                backend.Convert(h, work);
                if (backend.BlockLdl(work, TileDiagonal.TileRows, l, d) is var pivot and > 0)
                    throw new InvalidOperationException($"pivot {pivot} of {n} is not positive");
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
