namespace FastKron.Native.Fisher;

/// <summary>Singular value decomposition of a small square matrix on the host.</summary>
/// <param name="Values">Singular values, descending.</param>
/// <param name="Left">Column k is the left vector of value k; zero where the value is 0.</param>
/// <param name="Right">Column k is the right vector of value k.</param>
internal sealed record SmallSvd(double[] Values, double[,] Left, double[,] Right)
{
    /// <summary>Decomposes a (n, n) matrix by one-sided Jacobi rotations of its columns; a is overwritten.</summary>
    /// <remarks>O(n³) a sweep, a few sweeps. Source: M. Hestenes, J. SIAM 6 (1958).</remarks>
    public static SmallSvd Decompose(double[,] a)
    {
        int n = a.GetLength(0);
        var right = new double[n, n];
        for (int i = 0; i < n; i++)
            right[i, i] = 1;
        bool rotated = true;
        for (int sweep = 0; rotated && sweep < 60; sweep++)
        {
            rotated = false;
            for (int p = 0; p < n; p++)
            {
                for (int q = p + 1; q < n; q++)
                    rotated |= Rotate(a, right, p, q);
            }
        }
        return Sort(a, right);
    }

    // Makes columns p and q of a orthogonal; false if they are already.
    private static bool Rotate(double[,] a, double[,] right, int p, int q)
    {
        int n = a.GetLength(0);
        double pp = 0, qq = 0, pq = 0;
        for (int i = 0; i < n; i++)
        {
            pp += a[i, p] * a[i, p];
            qq += a[i, q] * a[i, q];
            pq += a[i, p] * a[i, q];
        }
        if (Math.Abs(pq) <= 1e-15 * Math.Sqrt(pp * qq))
            return false;
        double zeta = (qq - pp) / (2 * pq);
        double t = Math.CopySign(1, zeta) / (Math.Abs(zeta) + Math.Sqrt(1 + zeta * zeta));
        double c = 1 / Math.Sqrt(1 + t * t), s = c * t;
        for (int i = 0; i < n; i++)
        {
            (a[i, p], a[i, q]) = (c * a[i, p] - s * a[i, q], s * a[i, p] + c * a[i, q]);
            (right[i, p], right[i, q]) = (c * right[i, p] - s * right[i, q], s * right[i, p] + c * right[i, q]);
        }
        return true;
    }

    private static SmallSvd Sort(double[,] a, double[,] right)
    {
        int n = a.GetLength(0);
        var norms = new double[n];
        for (int k = 0; k < n; k++)
        {
            for (int i = 0; i < n; i++)
                norms[k] += a[i, k] * a[i, k];
            norms[k] = Math.Sqrt(norms[k]);
        }
        int[] order = [.. Enumerable.Range(0, n).OrderByDescending(k => norms[k])];
        var result = new SmallSvd(new double[n], new double[n, n], new double[n, n]);
        for (int k = 0; k < n; k++)
        {
            double norm = result.Values[k] = norms[order[k]];
            for (int i = 0; i < n; i++)
            {
                result.Left[i, k] = norm > 0 ? a[i, order[k]] / norm : 0;
                result.Right[i, k] = right[i, order[k]];
            }
        }
        return result;
    }
}
