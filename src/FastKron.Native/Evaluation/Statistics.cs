namespace FastKron.Native.Evaluation;

/// <summary>Sample statistics in float64.</summary>
public static class Statistics
{
    /// <summary>Arithmetic mean; NaN when empty.</summary>
    public static double Mean(ReadOnlySpan<float> values)
    {
        double sum = 0;
        foreach (float value in values)
            sum += value;
        return sum / values.Length;
    }

    /// <summary>Arithmetic mean; NaN when empty.</summary>
    public static double Mean(ReadOnlySpan<double> values)
    {
        double sum = 0;
        foreach (double value in values)
            sum += value;
        return sum / values.Length;
    }

    /// <summary>√(mean of squares).</summary>
    public static double RootMeanSquare(ReadOnlySpan<float> values)
    {
        double sum = 0;
        foreach (float value in values)
            sum += (double)value * value;
        return Math.Sqrt(sum / values.Length);
    }

    /// <summary>Sample standard deviation (n − 1) / √n; NaN for fewer than two values.</summary>
    public static double StandardError(ReadOnlySpan<double> values)
    {
        double mean = Mean(values), sum = 0;
        foreach (double value in values)
            sum += (value - mean) * (value - mean);
        return values.Length < 2 ? double.NaN : Math.Sqrt(sum / (values.Length - 1) / values.Length);
    }

    /// <summary>Standard error of the mean difference of paired values.</summary>
    public static double PairedStandardError(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(a.Length, b.Length);
        double[] difference = new double[a.Length];
        for (int i = 0; i < difference.Length; i++)
            difference[i] = a[i] - b[i];
        return StandardError(difference);
    }

    /// <summary>Quantile of sorted values, linear between neighbours.</summary>
    public static double Quantile(ReadOnlySpan<float> sorted, double level)
    {
        double position = level * (sorted.Length - 1);
        int below = (int)position;
        return below + 1 >= sorted.Length ? sorted[^1] : sorted[below] + (position - below) * ((double)sorted[below + 1] - sorted[below]);
    }

    /// <summary>Pearson correlation; NaN when one side is constant.</summary>
    public static double Correlation(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(a.Length, b.Length);
        double meanA = Mean(a), meanB = Mean(b), ab = 0, aa = 0, bb = 0;
        for (int i = 0; i < a.Length; i++)
        {
            ab += (a[i] - meanA) * (b[i] - meanB);
            aa += (a[i] - meanA) * (a[i] - meanA);
            bb += (b[i] - meanB) * (b[i] - meanB);
        }
        return ab / Math.Sqrt(aa * bb);
    }
}
