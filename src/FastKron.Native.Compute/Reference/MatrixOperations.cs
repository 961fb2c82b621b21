namespace FastKron.Native.Compute.Reference;

/// <summary>Definitions of the dense matrix operations: plain loops in float64 over contiguous row-major matrices.</summary>
public static class MatrixOperations
{
    /// <summary>c ← alpha · op(a) · op(b) + beta · c; c is not read when beta is 0.</summary>
    /// <param name="a">(m, k), or (k, m) if transposed.</param>
    /// <param name="transposeA">Whether op(a) = aᵀ.</param>
    /// <param name="b">(k, n), or (n, k) if transposed.</param>
    /// <param name="transposeB">Whether op(b) = bᵀ.</param>
    /// <param name="m">Rows of c.</param>
    /// <param name="n">Columns of c.</param>
    /// <param name="k">Terms of each sum.</param>
    /// <param name="c">(m, n). Overwritten.</param>
    /// <param name="alpha">Factor of the product.</param>
    /// <param name="beta">Factor of the old c.</param>
    public static void MatMul(
        ReadOnlySpan<double> a, bool transposeA, ReadOnlySpan<double> b, bool transposeB, int m, int n, int k, Span<double> c, double alpha = 1, double beta = 0)
    {
        for (int i = 0; i < m; i++)
        {
            for (int j = 0; j < n; j++)
            {
                double sum = 0;
                for (int p = 0; p < k; p++)
                    sum += (transposeA ? a[p * m + i] : a[i * k + p]) * (transposeB ? b[j * k + p] : b[p * n + j]);
                c[i * n + j] = beta == 0 ? alpha * sum : alpha * sum + beta * c[i * n + j];
            }
        }
    }

    /// <summary>Replaces the lower triangle of a symmetric positive-definite matrix by its Cholesky factor; the upper triangle becomes 0.</summary>
    /// <param name="a">(n, n). Overwritten.</param>
    /// <param name="n">Order.</param>
    /// <returns>0, or the 1-based index of the first pivot that is not positive or not finite.</returns>
    public static int Cholesky(Span<double> a, int n)
    {
        for (int j = 0; j < n; j++)
        {
            for (int i = j; i < n; i++)
            {
                double sum = a[i * n + j];
                for (int p = 0; p < j; p++)
                    sum -= a[i * n + p] * a[j * n + p];
                if (i > j)
                    a[i * n + j] = sum / a[j * n + j];
                else if (sum > 0 && double.IsFinite(sum))
                    a[j * n + j] = Math.Sqrt(sum);
                else
                    return j + 1;
            }
            a.Slice(j * n + j + 1, n - j - 1).Clear();
        }
        return 0;
    }

    /// <summary>Replaces a lower triangular matrix by its inverse.</summary>
    /// <param name="l">(n, n), 0 above the diagonal. Overwritten.</param>
    /// <param name="n">Order.</param>
    public static void TriangularInverse(Span<double> l, int n)
    {
        for (int i = 0; i < n; i++)
        {
            // Columns to the right of j are still L's, and rows above i are already the inverse's.
            for (int j = 0; j < i; j++)
            {
                double sum = 0;
                for (int p = j; p < i; p++)
                    sum -= l[i * n + p] * l[p * n + j];
                l[i * n + j] = sum / l[i * n + i];
            }
            l[i * n + i] = 1 / l[i * n + i];
        }
    }

    /// <summary>Block LDLᵀ: h = (I + l) D (I + l)ᵀ with unit diagonal blocks: from h = C Cᵀ, I + l = C · blockdiag(C_ii)⁻¹ and D_i = C_ii C_iiᵀ.</summary>
    /// <param name="h">(n, n) symmetric. Overwritten with C.</param>
    /// <param name="n">Order.</param>
    /// <param name="block">Rows of a diagonal block; divides n.</param>
    /// <param name="l">(n, n), out: strictly block-lower.</param>
    /// <param name="d">(n, block), out: the D_i above each other.</param>
    /// <returns>As <see cref="Cholesky"/>.</returns>
    public static int BlockLdl(Span<double> h, int n, int block, Span<double> l, Span<double> d)
    {
        int failed = Cholesky(h, n);
        if (failed != 0)
            return failed;
        l.Clear();
        for (int row = 0; row < n; row++)
        {
            int diagonal = row / block * block;
            for (int start = 0; start < diagonal; start += block)
            {
                // x · C_ii = the row's piece of C.
                for (int j = start + block - 1; j >= start; j--)
                {
                    double sum = h[row * n + j];
                    for (int p = j + 1; p < start + block; p++)
                        sum -= l[row * n + p] * h[p * n + j];
                    l[row * n + j] = sum / h[j * n + j];
                }
            }
            for (int column = 0; column < block; column++)
            {
                double sum = 0;
                for (int p = diagonal; p < diagonal + block; p++)
                    sum += h[row * n + p] * h[(diagonal + column) * n + p];
                d[row * block + column] = sum;
            }
        }
        return 0;
    }
}
