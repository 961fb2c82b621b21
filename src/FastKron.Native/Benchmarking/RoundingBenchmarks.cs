using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Quantization;
using FastKron.Native.Rounding;

namespace FastKron.Native.Benchmarking;

/// <summary>Two-sided rounding at 2 bits of as many matrices of one shape as a run takes together: whole, and its feedback alone.</summary>
internal static class RoundingBenchmarks
{
    // Shapes of smollm2-135m and of LLaMA-3-8B with the matrices that a model has of them, and a lone matrix, whose anti-diagonals cannot fill a device.
    private static readonly (int Matrices, int Rows, int Columns)[] GpuShapes = [(60, 576, 576), (60, 1536, 576), (64, 1024, 4096), (64, 4096, 4096), (1, 4096, 4096)];
    private static readonly (int Matrices, int Rows, int Columns)[] CpuShapes = [(1, 256, 384)];

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        bool cpu = backend.ActivationType == DType.F32;
        var settings = new LinearQuantizerOptions { Codebook = TrellisCodes.Hybrid(2) };
        var quantizer = new LinearQuantizer(backend, settings);
        foreach ((int matrices, int m, int n) in cpu ? CpuShapes : GpuShapes)
        {
            int count = quantizer.BatchSize(matrices, m, n);
            yield return Case(backend, "feedback", count, m, n, new Unchanged(backend));
            yield return Case(
                backend, "hyb-k2", count, m, n, new TrellisTileQuantizer(backend, settings.Codebook, settings.Layout, settings.Window, settings.Costs, count, m, n));
        }
    }

    private static TimedOperation Case(IBackend backend, string name, int count, int m, int n, ITileQuantizer tiles)
    {
        Tensor source = BenchmarkData.Normal(backend, DType.F32, count * m, n), w = backend.Allocate(DType.F32, count * m, n);
        Tensor u = backend.Allocate(DType.F32, count * m, n), v = backend.Allocate(DType.F32, count * m, n);
        Tensor lOut = Lower(backend, count, m), lIn = Lower(backend, count, n);
        var batch = new RoundingBatch(count, w, u, v, lOut, lIn);
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
