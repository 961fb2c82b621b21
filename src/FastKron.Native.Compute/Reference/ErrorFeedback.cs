namespace FastKron.Native.Compute.Reference;

/// <summary>Feedback of rounding errors: U = E·l_in and V = l_outᵀ·(E + U), as they are defined, in float64.</summary>
/// <remarks>Source: YAQA, arXiv:2505.22988, section 3.</remarks>
public static class ErrorFeedback
{
    /// <summary>U of every element.</summary>
    /// <param name="e">E (m, n).</param>
    /// <param name="lIn">(n, n); empty for 0.</param>
    /// <param name="n">Columns.</param>
    public static double[] FromRight(ReadOnlySpan<float> e, ReadOnlySpan<float> lIn, int n)
    {
        double[] u = new double[e.Length];
        for (int i = 0; i < u.Length && !lIn.IsEmpty; i++)
        {
            (int row, int column) = Math.DivRem(i, n);
            for (int k = 0; k < n; k++)
                u[i] += (double)e[row * n + k] * lIn[k * n + column];
        }
        return u;
    }

    /// <summary>V of every element.</summary>
    /// <param name="e">E (m, n).</param>
    /// <param name="u">U (m, n).</param>
    /// <param name="lOut">(m, m); empty for 0.</param>
    /// <param name="n">Columns.</param>
    public static double[] FromBelow(ReadOnlySpan<float> e, ReadOnlySpan<double> u, ReadOnlySpan<float> lOut, int n)
    {
        double[] v = new double[e.Length];
        int m = e.Length / n;
        for (int i = 0; i < v.Length && !lOut.IsEmpty; i++)
        {
            (int row, int column) = Math.DivRem(i, n);
            for (int k = 0; k < m; k++)
                v[i] += lOut[k * m + row] * (e[k * n + column] + u[k * n + column]);
        }
        return v;
    }
}
