namespace FastKron.Native.Compute.Reference;

/// <summary>Root-mean-square normalisation of one group of n numbers: y = x / √(mean(x²) + ε) ∘ w.</summary>
/// <remarks>Source: arXiv:1910.07467.</remarks>
public static class RmsNorm
{
    /// <summary>y ← x·r ∘ w, r = (mean(x²) + ε)^−½.</summary>
    /// <param name="x">Shape (n).</param>
    /// <param name="weight">Shape (n).</param>
    /// <param name="epsilon">ε, added to the mean square.</param>
    /// <param name="y">Shape (n). Overwritten.</param>
    public static void Forward(ReadOnlySpan<double> x, ReadOnlySpan<double> weight, double epsilon, Span<double> y)
    {
        double r = InverseRoot(x, epsilon);
        for (int i = 0; i < x.Length; i++)
            y[i] = x[i] * r * weight[i];
    }

    /// <summary>dx ← r·(w∘dy) − x · r³/n · Σ(w∘dy∘x): the gradient with respect to x.</summary>
    /// <param name="dy">Shape (n): gradient of the output.</param>
    /// <param name="x">Shape (n).</param>
    /// <param name="weight">Shape (n).</param>
    /// <param name="epsilon">As in <see cref="Forward"/>.</param>
    /// <param name="dx">Shape (n). Overwritten.</param>
    public static void Backward(ReadOnlySpan<double> dy, ReadOnlySpan<double> x, ReadOnlySpan<double> weight, double epsilon, Span<double> dx)
    {
        double r = InverseRoot(x, epsilon), projection = 0;
        for (int i = 0; i < x.Length; i++)
            projection += weight[i] * dy[i] * x[i];
        double along = projection * r * r * r / x.Length;
        for (int i = 0; i < x.Length; i++)
            dx[i] = r * weight[i] * dy[i] - along * x[i];
    }

    private static double InverseRoot(ReadOnlySpan<double> x, double epsilon)
    {
        double sum = 0;
        foreach (double value in x)
            sum += value * value;
        return 1 / Math.Sqrt(sum / x.Length + epsilon);
    }
}
