using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Rounding;

/// <summary>The quadratic model of the loss, tr(X B Xᵀ A), with damped factors; an absent factor is the identity.</summary>
/// <remarks>With S = L_outᵀ X L_in it is Σ_ij tr(D_out,i S_ij D_in,j S_ijᵀ) over 16 × 16 tiles (<see cref="IBackend.RoundingLoss"/>).</remarks>
public static class ProxyLoss
{
    /// <summary>losses[b] ← tr(X B Xᵀ A) for X = w of every matrix of a batch that is not rounded yet; u and v are overwritten.</summary>
    /// <remarks>The products' operands are of the backend's activation type: rounding them to bfloat16 changes a sum of so many squares by 1e-5 or so.</remarks>
    /// <param name="backend">Where everything lies.</param>
    /// <param name="batch">X and the factors' lower parts.</param>
    /// <param name="dOut">The diagonal blocks of A, above each other; null for the identity.</param>
    /// <param name="dIn">Those of B.</param>
    /// <param name="losses">(matrices, 1) F64, out.</param>
    public static void OfWeights(IBackend backend, RoundingBatch batch, Tensor? dOut, Tensor? dIn, Tensor losses)
    {
        int m = batch.Rows, n = batch.Columns;
        backend.Convert(batch.W, batch.U);
        for (int b = 0; b < batch.Matrices && batch.LIn is not null; b++)
        {
            using Tensor x = Narrow(backend, batch.W.SliceRows(b * m, m)), l = Narrow(backend, batch.LIn.SliceRows(b * n, n));
            backend.MatMul(x, false, l, false, batch.U.SliceRows(b * m, m), beta: 1);
        }
        backend.Convert(batch.U, batch.V);
        for (int b = 0; b < batch.Matrices && batch.LOut is not null; b++)
        {
            using Tensor l = Narrow(backend, batch.LOut.SliceRows(b * m, m)), x = Narrow(backend, batch.U.SliceRows(b * m, m));
            backend.MatMul(l, true, x, false, batch.V.SliceRows(b * m, m), beta: 1);
        }
        backend.RoundingLoss(batch.V, dOut, dIn, losses);
    }

    private static Tensor Narrow(IBackend backend, Tensor x)
    {
        if (x.Type == backend.ActivationType)
            return x;
        Tensor narrow = backend.Allocate(backend.ActivationType, x.Rows, x.Columns);
        backend.Convert(x, narrow);
        return narrow;
    }
}
