using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarking;

/// <summary>Tensors to measure on. Zeros would draw less power than real data, so all are normal numbers.</summary>
internal static class BenchmarkData
{
    private const int DrawnElements = 1 << 20;

    /// <summary>Normal numbers times <paramref name="scale"/>; long tensors repeat one draw.</summary>
    public static Tensor Normal(IBackend backend, DType type, int rows, int columns, float scale = 1)
    {
        int drawnRows = Math.Clamp(DrawnElements / columns, 1, rows), width = Math.Min(columns, DrawnElements);
        float[] values = new float[drawnRows * width];
        Philox.Normal(seed: 0, RandomPurpose.Test, item: 0, values);
        for (int i = 0; i < values.Length; i++)
            values[i] *= scale;
        using Tensor drawn = backend.Allocate(DType.F32, drawnRows, width);
        backend.Upload<float>(values, drawn);
        Tensor result = backend.Allocate(type, rows, columns);
        for (int row = 0; row < rows; row += drawnRows)
        {
            for (int column = 0; column < columns; column += width)
            {
                int height = Math.Min(drawnRows, rows - row), wide = Math.Min(width, columns - column);
                backend.Convert(drawn.Slice(0, height, 0, wide), result.Slice(row, height, column, wide));
            }
        }
        return result;
    }

    /// <summary>(1, count) I32: pseudo-random numbers from 0 to <paramref name="limit"/> − 1.</summary>
    public static Tensor Indices(IBackend backend, int count, int limit)
    {
        int[] values = new int[count];
        for (int i = 0; i < count; i++)
            values[i] = (int)(Philox.Word(seed: 0, (ulong)i, RandomPurpose.Test, item: 1) % (uint)limit);
        Tensor result = backend.Allocate(DType.I32, 1, count);
        backend.Upload<int>(values, result);
        return result;
    }
}
