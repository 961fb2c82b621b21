using System.Numerics;

namespace FastKron.Native.Compute.Reference;

/// <summary>Scalar float64 definition of <see cref="IBackend.Hadamard"/>: a product with the dense matrix.</summary>
public static class HadamardReference
{
    /// <summary>Entry (row, column) of U = (H_base ⊗ H_Sylvester)/√size; Sylvester's sign is (−1)^popcount(i &amp; j).</summary>
    public static double Entry(HadamardFactor factor, int row, int column)
    {
        int p = factor.PowerOfTwo;
        int sign = factor.Signs.Span[row / p * factor.BaseOrder + column / p];
        bool negative = (BitOperations.PopCount((uint)(row % p & column % p)) & 1) != 0;
        return (negative ? -sign : sign) / Math.Sqrt(factor.Size);
    }

    /// <summary>Transforms a (rows, columns) matrix in place.</summary>
    /// <param name="x">Row-major elements; overwritten.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="factor">U.</param>
    /// <param name="scale">size numbers; empty for all ones.</param>
    /// <param name="axis">Rows: x ← (x∘scale)·U, inverse (x·Uᵀ)∘scale, for every row x; columns: the same for every column.</param>
    /// <param name="inverse">Use Uᵀ, and the scale after it.</param>
    public static void Apply(Span<double> x, int rows, int columns, HadamardFactor factor, ReadOnlySpan<float> scale, HadamardAxis axis, bool inverse)
    {
        int size = factor.Size, vectors = axis == HadamardAxis.Rows ? rows : columns;
        (int step, int next) = axis == HadamardAxis.Rows ? (1, columns) : (columns, 1);
        var result = new double[size];
        for (int v = 0; v < vectors; v++)
        {
            for (int j = 0; j < size; j++)
            {
                double sum = 0;
                for (int i = 0; i < size; i++)
                {
                    double value = x[v * next + i * step];
                    sum += inverse ? value * Entry(factor, j, i) : value * (scale.IsEmpty ? 1 : scale[i]) * Entry(factor, i, j);
                }
                result[j] = inverse && !scale.IsEmpty ? sum * scale[j] : sum;
            }
            for (int j = 0; j < size; j++)
                x[v * next + j * step] = result[j];
        }
    }
}
