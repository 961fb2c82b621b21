using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute;

/// <summary>The inverse root of a single matrix.</summary>
public static class InverseRootExtensions
{
    /// <summary><see cref="IBackend.InverseRoots"/> of one matrix; waits.</summary>
    /// <param name="backend">Where the matrix is.</param>
    /// <param name="h">(n, n) F64, overwritten.</param>
    /// <param name="logDeterminant">ln det H.</param>
    /// <returns>0, or the 1-based index of the first pivot that is not positive or not finite; then h and logDeterminant are undefined.</returns>
    public static int InverseRoot(this IBackend backend, Tensor h, out double logDeterminant)
    {
        using Tensor determinants = backend.Allocate(DType.F64, 1, 1), failures = backend.Allocate(DType.I32, 1, 1);
        backend.InverseRoots(h, determinants, failures);
        double[] determinant = new double[1];
        int[] failure = new int[1];
        backend.Download<double>(determinants, determinant);
        backend.Download<int>(failures, failure);
        logDeterminant = determinant[0];
        return failure[0];
    }
}
