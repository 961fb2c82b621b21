using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Rounding;

/// <summary>Adaptive rounding in the metric tr(E B Eᵀ A), E = W − Ŵ, with A = L_out D Lᵀ and B = L_in D Lᵀ in block form.</summary>
/// <remarks>
/// Every 16 × 16 tile is quantized at T = W + U + V, where U = E·l_in and U + V = L_outᵀ·E·L_in − E gather the errors of the tiles below and to the
/// right; then T − Q(T) is exactly the tile of S = L_outᵀ·E·L_in and the error is Σ tr(D_out S D_in Sᵀ) over tiles. An absent factor is the identity:
/// without A this is LDLQ, without both plain rounding. Source: YAQA, arXiv:2505.22988, section 3; LDLQ: QuIP, arXiv:2307.13304.
/// Errors are pushed forward instead of pulled, 2mn(m + n) operations in all, in three ranges: within the 128 × 128 block of the tile when the tile is
/// done, to the neighbouring block when its row (column) of the block is done, and to all further blocks, as products of rank 128, when the block is
/// done. That is early enough: a further block's first tile comes two anti-diagonals after the last tile of this one.
/// </remarks>
public sealed class TwoSidedRounding
{
    private const int Tile = TileDiagonal.TileRows;

    // Tiles along a side of a block.
    private const int BlockTiles = 8;
    private const int Block = BlockTiles * Tile;

    private readonly IBackend _backend;
    private readonly Tensor? _lOut;
    private readonly Tensor? _lIn;
    private readonly Tensor _e;
    private readonly Tensor _z;
    private readonly Tensor? _u;
    private readonly Tensor _v;

    private TwoSidedRounding(IBackend backend, Tensor? lOut, Tensor? lIn, Tensor w, Tensor? u, Tensor residual) =>
        (_backend, _lOut, _lIn, _e, _z, _u, _v) = (backend, lOut, lIn, w, u ?? w, u, residual);

    /// <summary>Rounds a matrix.</summary>
    /// <param name="backend">Where everything lies.</param>
    /// <param name="w">(m, n) F32, multiples of 16; overwritten with E = W − Ŵ.</param>
    /// <param name="lOut">(m, m) F32, strictly block-lower part of L_out; null for A = I.</param>
    /// <param name="lIn">(n, n) F32, strictly block-lower part of L_in; null for B = I.</param>
    /// <param name="quantizer">Receives every tile once.</param>
    /// <param name="residual">(m, n) F32, out: S = L_outᵀ E L_in.</param>
    /// <param name="cancellation">Checked between anti-diagonals.</param>
    public static void Round(
        IBackend backend, Tensor w, Tensor? lOut, Tensor? lIn, ITileQuantizer quantizer, Tensor residual, CancellationToken cancellation = default)
    {
        if (w.Rows % Tile != 0 || w.Columns % Tile != 0)
            throw new ArgumentException($"{nameof(w)}: expected multiples of {Tile} rows and columns, found {w}", nameof(w));
        using Tensor? u = lIn is null ? null : backend.Allocate(DType.F32, w.Rows, w.Columns);
        if (u is not null)
            backend.Fill(u, 0);
        backend.Fill(residual, 0);
        new TwoSidedRounding(backend, lOut, lIn, w, u, residual).Run(quantizer, cancellation);
    }

    private void Run(ITileQuantizer quantizer, CancellationToken cancellation)
    {
        int tileRows = _e.Rows / Tile, tileColumns = _e.Columns / Tile, widest = Math.Min(tileRows, tileColumns);
        using Tensor targets = _backend.Allocate(DType.F32, widest, Tile * Tile);
        using Tensor values = _backend.Allocate(DType.F32, widest, Tile * Tile);
        using Tensor errors = _backend.Allocate(DType.F32, widest, Tile * Tile);
        for (int d = tileRows + tileColumns - 2; d >= 0; d--)
        {
            cancellation.ThrowIfCancellationRequested();
            int first = Math.Max(0, d - tileColumns + 1), count = Math.Min(tileRows - 1, d) - first + 1;
            var diagonal = new TileDiagonal(first, d - first, count);
            Quantize(quantizer, diagonal, targets.SliceRows(0, count), values.SliceRows(0, count), errors.SliceRows(0, count));
            for (int i = first; i < first + count; i++)
            {
                PushLeft(i, d - i);
                PushUp(i, d - i);
            }
            for (int i = first; i < first + count; i++)
                PushFromBlock(i, d - i);
        }
    }

    // T = W + U + V; then E takes the place of W, Z = E + U that of U, and S = T − Q(T) that of V: none of the three is read again.
    private void Quantize(ITileQuantizer quantizer, TileDiagonal diagonal, Tensor targets, Tensor values, Tensor errors)
    {
        TrellisLayout layout = quantizer.Layout;
        _backend.GatherTiles(_e, diagonal, layout, errors, accumulate: false);
        _backend.Convert(errors, targets);
        if (_u is not null)
            _backend.GatherTiles(_u, diagonal, layout, targets, accumulate: true);
        if (_lOut is not null)
            _backend.GatherTiles(_v, diagonal, layout, targets, accumulate: true);
        quantizer.Quantize(diagonal, targets, values);
        _backend.Axpy(-1, values, errors);
        _backend.Axpy(-1, values, targets);
        _backend.ScatterTiles(errors, diagonal, layout, _e, accumulate: false);
        if (_u is not null)
            _backend.ScatterTiles(errors, diagonal, layout, _u, accumulate: true);
        _backend.ScatterTiles(targets, diagonal, layout, _v, accumulate: false);
    }

    // U[i, left of j] += E[i, j] · l_in[j, left of j], in this block; from its first column on, of the whole row of the block to the block beside it.
    private void PushLeft(int i, int j)
    {
        if (_lIn is null)
            return;
        int row = i * Tile, column = j * Tile, start = column / Block * Block;
        if (column > start)
        {
            _backend.MatMul(
                _e.Slice(row, Tile, column, Tile), false, _lIn.Slice(column, Tile, start, column - start), false,
                _u!.Slice(row, Tile, start, column - start), beta: 1);
        }
        else if (start > 0)
        {
            int width = Math.Min(Block, _e.Columns - start);
            _backend.MatMul(
                _e.Slice(row, Tile, start, width), false, _lIn.Slice(start, width, start - Block, Block), false,
                _u!.Slice(row, Tile, start - Block, Block), beta: 1);
        }
    }

    // V[above i, j] += l_out[i, above i]ᵀ · Z[i, j], likewise.
    private void PushUp(int i, int j)
    {
        if (_lOut is null)
            return;
        int row = i * Tile, column = j * Tile, start = row / Block * Block;
        if (row > start)
        {
            _backend.MatMul(
                _lOut.Slice(row, Tile, start, row - start), true, _z.Slice(row, Tile, column, Tile), false,
                _v.Slice(start, row - start, column, Tile), beta: 1);
        }
        else if (start > 0)
        {
            int height = Math.Min(Block, _e.Rows - start);
            _backend.MatMul(
                _lOut.Slice(start, height, start - Block, Block), true, _z.Slice(start, height, column, Tile), false,
                _v.Slice(start - Block, Block, column, Tile), beta: 1);
        }
    }

    // When (i, j) is the last tile of its block: the block's errors to all blocks beyond its neighbours.
    private void PushFromBlock(int i, int j)
    {
        if (i % BlockTiles != 0 || j % BlockTiles != 0)
            return;
        int row = i * Tile, column = j * Tile, height = Math.Min(Block, _e.Rows - row), width = Math.Min(Block, _e.Columns - column);
        if (_lIn is not null && column > Block)
        {
            int left = column - Block;
            _backend.MatMul(
                _e.Slice(row, height, column, width), false, _lIn.Slice(column, width, 0, left), false, _u!.Slice(row, height, 0, left), beta: 1);
        }
        if (_lOut is not null && row > Block)
        {
            int above = row - Block;
            _backend.MatMul(
                _lOut.Slice(row, height, 0, above), true, _z.Slice(row, height, column, width), false, _v.Slice(0, above, column, width), beta: 1);
        }
    }
}
