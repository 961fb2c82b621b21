using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Reports;

namespace FastKron.Native.Rounding;

/// <summary>Adaptive rounding in the metric tr(E B Eᵀ A), E = W − Ŵ, with A = L_out D Lᵀ and B = L_in D Lᵀ in block form.</summary>
/// <remarks>
/// Every 16 × 16 tile is quantized at T = W + U + V, where U = E·l_in and U + V = L_outᵀ·E·L_in − E gather the errors of the tiles below and to the
/// right; then T − Q(T) is exactly the tile of S = L_outᵀ·E·L_in and the error is Σ tr(D_out S D_in Sᵀ) over tiles. An absent factor is the identity:
/// without A this is LDLQ, without both plain rounding. The tiles of an anti-diagonal do not depend on each other, nor do matrices: those of one shape
/// go together, so that the device has enough to do. Source: YAQA, arXiv:2505.22988, section 3; LDLQ: QuIP, arXiv:2307.13304.
/// </remarks>
public static class TwoSidedRounding
{
    /// <summary>Rounds the matrices of a batch: w becomes E, v becomes S.</summary>
    /// <param name="backend">Where everything lies.</param>
    /// <param name="batch">Weights and factors.</param>
    /// <param name="quantizer">Receives every tile once.</param>
    /// <param name="clock">Told of feedback; null for none.</param>
    /// <param name="cancellation">Checked between anti-diagonals.</param>
    public static void Round(
        IBackend backend, RoundingBatch batch, ITileQuantizer quantizer, StageClock<RoundingPhase>? clock = null, CancellationToken cancellation = default)
    {
        int tileRows = batch.Rows / TileDiagonal.TileRows, tileColumns = batch.Columns / TileDiagonal.TileRows;
        int widest = batch.Matrices * Math.Min(tileRows, tileColumns);
        using Tensor allTargets = backend.Allocate(DType.F32, widest, TrellisCodebook.TileSize);
        using Tensor allValues = backend.Allocate(DType.F32, widest, TrellisCodebook.TileSize);
        for (int d = tileRows + tileColumns - 2; d >= 0; d--)
        {
            cancellation.ThrowIfCancellationRequested();
            int first = Math.Max(0, d - tileColumns + 1), count = Math.Min(tileRows - 1, d) - first + 1;
            var diagonal = new TileDiagonal(first, d - first, count);
            Tensor targets = allTargets.SliceRows(0, batch.Matrices * count), values = allValues.SliceRows(0, batch.Matrices * count);
            using (StageClock.Enter(clock, RoundingPhase.Feedback))
                backend.RoundingTargets(batch, diagonal, quantizer.Layout, targets);
            quantizer.Quantize(diagonal, targets, values);
            using (StageClock.Enter(clock, RoundingPhase.Feedback))
                backend.RoundingErrors(batch, diagonal, quantizer.Layout, targets, values);
        }
    }
}
