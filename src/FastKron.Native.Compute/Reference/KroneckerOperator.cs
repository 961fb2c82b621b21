namespace FastKron.Native.Compute.Reference;

/// <summary>Definition of the rearranged Fisher operator: one gradient after the other, plain loops in float64.</summary>
/// <remarks>Source: Van Loan and Pitsianis, "Approximation with Kronecker products", 1993; hessians-and-rounding.md section 2.</remarks>
public static class KroneckerOperator
{
    /// <summary>Rows: result ← Σ_k G_k V G_kᵀ; columns: result ← Σ_k G_kᵀ V G_k.</summary>
    /// <param name="stack">(m, K·n): row i holds row i of every gradient.</param>
    /// <param name="m">Rows of a gradient.</param>
    /// <param name="gradients">K.</param>
    /// <param name="n">Columns of a gradient.</param>
    /// <param name="side">Which factor is produced.</param>
    /// <param name="v">(n, n) for rows, (m, m) for columns.</param>
    /// <param name="result">(m, m) for rows, (n, n) for columns. Overwritten.</param>
    public static void Apply(ReadOnlySpan<double> stack, int m, int gradients, int n, KroneckerSide side, ReadOnlySpan<double> v, Span<double> result)
    {
        bool rows = side == KroneckerSide.Rows;
        int outer = rows ? m : n, inner = rows ? n : m;
        double[] gradient = new double[m * n], product = new double[outer * inner], term = new double[outer * outer];
        result.Clear();
        for (int k = 0; k < gradients; k++)
        {
            for (int i = 0; i < m; i++)
                stack.Slice((i * gradients + k) * n, n).CopyTo(gradient.AsSpan(i * n));
            MatrixOperations.MatMul(gradient, !rows, v, false, outer, inner, inner, product);
            MatrixOperations.MatMul(product, false, gradient, rows, outer, outer, inner, term);
            for (int i = 0; i < term.Length; i++)
                result[i] += term[i];
        }
    }

    /// <summary>The same with V = rootᵀ · root.</summary>
    /// <param name="stack">As in <see cref="Apply"/>.</param>
    /// <param name="m">Rows of a gradient.</param>
    /// <param name="gradients">K.</param>
    /// <param name="n">Columns of a gradient.</param>
    /// <param name="side">Which factor is produced.</param>
    /// <param name="root">(n, n) for rows, (m, m) for columns.</param>
    /// <param name="result">As in <see cref="Apply"/>. Overwritten.</param>
    public static void Gram(ReadOnlySpan<double> stack, int m, int gradients, int n, KroneckerSide side, ReadOnlySpan<double> root, Span<double> result)
    {
        int order = side == KroneckerSide.Rows ? n : m;
        double[] v = new double[order * order];
        MatrixOperations.MatMul(root, true, root, false, order, order, order, v);
        Apply(stack, m, gradients, n, side, v, result);
    }
}
