namespace FastKron.Native.Compute.Reference;

/// <summary>Sinkhorn's iteration on squared weights: multipliers that give every row and every column the same mean square.</summary>
/// <remarks>Source: hessians-and-rounding.md section 4.2b; Sinkhorn, Ann. Math. Statist. 35 (1964).</remarks>
public static class EnergyBalance
{
    /// <summary>r_i ← 1/mean_j(w_ij² c_j), or 1 where that mean is 0.</summary>
    /// <param name="row">w_i.</param>
    /// <param name="c">As many multipliers.</param>
    public static double OfRow(ReadOnlySpan<float> row, ReadOnlySpan<double> c)
    {
        double sum = 0;
        for (int j = 0; j < row.Length; j++)
            sum += (double)row[j] * row[j] * c[j];
        return Multiplier(sum, row.Length);
    }

    /// <summary>sums_j ← sums_j + w_ij² r_i.</summary>
    public static void AddRow(ReadOnlySpan<float> row, double r, Span<double> sums)
    {
        for (int j = 0; j < row.Length; j++)
            sums[j] += (double)row[j] * row[j] * r;
    }

    /// <summary>1/(sum/count), or 1 for a sum of 0.</summary>
    public static double Multiplier(double sum, int count) => sum == 0 ? 1 : count / sum;
}
