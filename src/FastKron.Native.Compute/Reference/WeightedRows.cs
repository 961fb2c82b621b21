namespace FastKron.Native.Compute.Reference;

/// <summary>Rows scaled by the root of a weight that two other matrices give.</summary>
public static class WeightedRows
{
    /// <summary>y[t] ← √max(0, ⟨a_t, b_t⟩) · x[t].</summary>
    /// <param name="a">(T, width).</param>
    /// <param name="b">(T, width).</param>
    /// <param name="x">(T, columns).</param>
    /// <param name="rows">T.</param>
    /// <param name="y">(T, columns). Overwritten.</param>
    public static void Weigh(ReadOnlySpan<double> a, ReadOnlySpan<double> b, ReadOnlySpan<double> x, int rows, Span<double> y)
    {
        int width = a.Length / rows, columns = x.Length / rows;
        for (int t = 0; t < rows; t++)
        {
            double weight = 0;
            for (int p = 0; p < width; p++)
                weight += a[t * width + p] * b[t * width + p];
            for (int c = 0; c < columns; c++)
                y[t * columns + c] = Math.Sqrt(Math.Max(0, weight)) * x[t * columns + c];
        }
    }
}
