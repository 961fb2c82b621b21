using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Reports;

namespace FastKron.Native.Rounding;

/// <summary>Quantizes the tiles of matrices of one shape with a trellis code and packs their paths.</summary>
public sealed class TrellisTileQuantizer : ITileQuantizer, IDisposable
{
    private readonly IBackend _backend;
    private readonly TrellisCodebook _codebook;
    private readonly TailBitingWindow _window;
    private readonly CostPrecision _costs;
    private readonly int _tiles;
    private readonly int _tileColumns;
    private readonly Tensor _states;
    private readonly Tensor _codes;

    /// <summary>Prepares room for the codes.</summary>
    /// <param name="backend">Where tiles are encoded.</param>
    /// <param name="codebook">Code and rate.</param>
    /// <param name="layout">Bit placement.</param>
    /// <param name="window">Window of the first tail-biting pass.</param>
    /// <param name="costs">Arithmetic of the encoder.</param>
    /// <param name="matrices">How many matrices are rounded together.</param>
    /// <param name="rows">m; a multiple of the layout's granularity.</param>
    /// <param name="columns">n; likewise.</param>
    /// <exception cref="ArgumentException">The sizes do not fit the layout.</exception>
    public TrellisTileQuantizer(
        IBackend backend, TrellisCodebook codebook, TrellisLayout layout, TailBitingWindow window, CostPrecision costs, int matrices, int rows, int columns)
    {
        TrellisPacking.CheckSizes(layout, rows, columns);
        (_backend, _codebook, Layout, _window, _costs) = (backend, codebook, layout, window, costs);
        int tileRows = rows / TileDiagonal.TileRows;
        _tileColumns = columns / TileDiagonal.TileRows;
        _tiles = tileRows * _tileColumns;
        _states = backend.Allocate(DType.U16, matrices * Math.Min(tileRows, _tileColumns), codebook.Steps);
        _codes = backend.Allocate(DType.U16, checked(matrices * _tiles), codebook.PackedWords);
    }

    /// <inheritdoc/>
    public TrellisLayout Layout { get; }

    /// <summary>Told of encoding and packing; null for none.</summary>
    public StageClock<RoundingPhase>? Clock { get; init; }

    /// <inheritdoc/>
    public void Quantize(TileDiagonal diagonal, Tensor targets, Tensor values)
    {
        Tensor states = _states.SliceRows(0, targets.Rows);
        using (StageClock.Enter(Clock, RoundingPhase.Encoding))
        {
            _backend.EncodeTiles(_codebook, _window, targets, states, _costs);
            _backend.DecodeTiles(_codebook, states, values);
        }
        using (StageClock.Enter(Clock, RoundingPhase.Packing))
            _backend.PackTiles(_codebook, Layout, states, diagonal, _codes, _tileColumns);
    }

    /// <summary>The packed codes of a matrix once every tile is quantized, (m/16 · n/16, 16·K); waits.</summary>
    /// <param name="matrix">Number in the batch.</param>
    public ushort[] Download(int matrix)
    {
        Tensor codes = _codes.SliceRows(matrix * _tiles, _tiles);
        ushort[] words = new ushort[codes.Length];
        _backend.Download<ushort>(codes, words);
        return words;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _states.Dispose();
        _codes.Dispose();
    }
}
