using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Quantization;
using FastKron.Native.Rounding;

namespace FastKron.Native.Benchmarking;

/// <summary>Two-sided rounding at 2 bits of as many matrices of one shape as a run takes together: whole, and its feedback alone.</summary>
internal static class RoundingBenchmarks
{
    // smollm2-135m's shapes, then LLaMA-3-8B's.
    private static readonly (int Rows, int Columns)[] GpuShapes = [(576, 576), (1536, 576), (1024, 4096), (4096, 4096), (14336, 4096)];
    private static readonly (int Rows, int Columns)[] CpuShapes = [(256, 384)];

    // Two of 32 layers.
    private const int MatricesOfModel = 64;

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        bool cpu = backend.ActivationType == DType.F32;
        var quantizer = new LinearQuantizer(backend, new LinearQuantizerOptions { Codebook = TrellisCodes.Hybrid(2) });
        foreach ((int m, int n) in cpu ? CpuShapes : GpuShapes)
        {
            int count = quantizer.BatchSize(MatricesOfModel, m, n);
            yield return Case(backend, "feedback", count, m, n, batch => new Unchanged(backend));
            foreach (CostPrecision costs in cpu ? [CostPrecision.Exact] : new[] { CostPrecision.PackedHalf, CostPrecision.Exact })
            {
                string name = costs == CostPrecision.Exact ? "hyb-k2/f32" : "hyb-k2";
                yield return Case(
                    backend, name, count, m, n,
                    batch => new TrellisTileQuantizer(backend, TrellisCodes.Hybrid(2), TrellisLayout.QtipKernel, TailBitingWindow.Full, costs, count, m, n));
            }
        }
    }

    private static TimedOperation Case(IBackend backend, string name, int count, int m, int n, Func<RoundingBatch, ITileQuantizer> quantizer)
    {
        Tensor source = BenchmarkData.Normal(backend, DType.F32, count * m, n), w = backend.Allocate(DType.F32, count * m, n);
        Tensor u = backend.Allocate(DType.F32, count * m, n), v = backend.Allocate(DType.F32, count * m, n);
        Tensor lOut = Lower(backend, count, m), lIn = Lower(backend, count, n);
        var batch = new RoundingBatch(count, w, u, v, lOut, lIn);
        ITileQuantizer tiles = quantizer(batch);
        return new TimedOperation($"{name}/{count}x{m}x{n}", BenchmarkUnit.MegaweightsPerSecond, Run, source, w, u, v, lOut, lIn, tiles as IDisposable)
        {
            Weights = source.Length,
            Flops = (double)source.Length * (m + n),
            Bytes = 2 * source.Bytes,
        };

        void Run()
        {
            backend.Convert(source, w);
            TwoSidedRounding.Round(backend, batch, tiles);
        }
    }

    // Strictly block-lower, small enough that feedback does not grow.
    private static Tensor Lower(IBackend backend, int count, int size)
    {
        Tensor lower = BenchmarkData.Normal(backend, DType.F32, count * size, size, scale: 0.3f / MathF.Sqrt(size));
        for (int b = 0; b < count; b++)
        {
            for (int row = 0; row < size; row += TileDiagonal.TileRows)
                backend.Fill(lower.Slice(b * size + row, TileDiagonal.TileRows, row, size - row), 0);
        }
        return lower;
    }

    /// <summary>Takes every target as it is: what is left is the time of feedback.</summary>
    private sealed class Unchanged(IBackend backend) : ITileQuantizer
    {
        public TrellisLayout Layout => TrellisLayout.QtipKernel;

        public void Quantize(TileDiagonal diagonal, Tensor targets, Tensor values) => backend.Convert(targets, values);
    }
}
