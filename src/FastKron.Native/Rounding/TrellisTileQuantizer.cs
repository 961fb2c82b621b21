using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Rounding;

/// <summary>Quantizes the tiles of one matrix with a trellis code and keeps their states for packing.</summary>
public sealed class TrellisTileQuantizer : ITileQuantizer, IDisposable
{
    private readonly IBackend _backend;
    private readonly TrellisCodebook _codebook;
    private readonly TailBitingWindow _window;
    private readonly int _tileRows;
    private readonly int _tileColumns;
    private readonly Tensor _states;
    private readonly List<TileDiagonal> _done = [];
    private int _encoded;

    /// <summary>Prepares room for the states of a matrix.</summary>
    /// <param name="backend">Where tiles are encoded.</param>
    /// <param name="codebook">Code and rate.</param>
    /// <param name="layout">Bit placement.</param>
    /// <param name="window">Window of the first tail-biting pass.</param>
    /// <param name="rows">m; a multiple of the layout's granularity.</param>
    /// <param name="columns">n; likewise.</param>
    /// <exception cref="ArgumentException">The sizes do not fit the layout.</exception>
    public TrellisTileQuantizer(IBackend backend, TrellisCodebook codebook, TrellisLayout layout, TailBitingWindow window, int rows, int columns)
    {
        TrellisPacking.CheckSizes(layout, rows, columns);
        (_backend, _codebook, Layout, _window) = (backend, codebook, layout, window);
        (_tileRows, _tileColumns) = (rows / TileDiagonal.TileRows, columns / TileDiagonal.TileRows);
        _states = backend.Allocate(DType.U16, checked(_tileRows * _tileColumns), codebook.Steps);
    }

    /// <inheritdoc/>
    public TrellisLayout Layout { get; }

    /// <inheritdoc/>
    public void Quantize(TileDiagonal diagonal, Tensor targets, Tensor values)
    {
        Tensor states = _states.SliceRows(_encoded, diagonal.Count);
        _backend.EncodeTiles(_codebook, _window, targets, states);
        _backend.DecodeTiles(_codebook, states, values);
        _done.Add(diagonal);
        _encoded += diagonal.Count;
    }

    /// <summary>The packed codes of the whole matrix, (m/16 · n/16, 16·K); waits.</summary>
    /// <exception cref="InvalidOperationException">Not every tile has been quantized.</exception>
    public ushort[] Pack()
    {
        if (_encoded != _states.Rows)
            throw new InvalidOperationException($"{_encoded} of {_states.Rows} tiles are quantized");
        int steps = _codebook.Steps, next = 0;
        ushort[] inOrderOfWork = new ushort[_states.Length], inOrderOfTiles = new ushort[_states.Length];
        _backend.Download<ushort>(_states, inOrderOfWork);
        foreach (TileDiagonal diagonal in _done)
        {
            for (int t = 0; t < diagonal.Count; t++, next++)
            {
                int tile = (diagonal.Row + t) * _tileColumns + diagonal.Column - t;
                inOrderOfWork.AsSpan(next * steps, steps).CopyTo(inOrderOfTiles.AsSpan(tile * steps, steps));
            }
        }
        ushort[] codes = new ushort[_states.Rows * _codebook.PackedWords];
        TrellisPacking.Pack(_codebook, Layout, _tileRows * TileDiagonal.TileRows, _tileColumns * TileDiagonal.TileRows, inOrderOfTiles, codes);
        return codes;
    }

    /// <inheritdoc/>
    public void Dispose() => _states.Dispose();
}
