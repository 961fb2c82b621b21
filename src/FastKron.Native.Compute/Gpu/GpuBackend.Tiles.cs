using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Gpu;

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public void GatherTiles(Tensor matrix, TileDiagonal diagonal, TrellisLayout layout, Tensor tiles, bool accumulate)
    {
        Enter();
        TrellisArguments.DiagonalTiles(onHost: false, matrix, diagonal, tiles);
        Kernel("trellis", "trellis_gather_f32").Launch(
            _stream, diagonal.Count, TrellisCodebook.TileSize,
            new DiagonalArgs(
                tiles.Address, (nuint)tiles.Stride, matrix.Address, (nuint)matrix.Stride, diagonal.Row, diagonal.Column,
                FragmentOrder(layout), accumulate ? 1 : 0));
    }

    /// <inheritdoc/>
    public void ScatterTiles(Tensor tiles, TileDiagonal diagonal, TrellisLayout layout, Tensor matrix, bool accumulate)
    {
        Enter();
        TrellisArguments.DiagonalTiles(onHost: false, matrix, diagonal, tiles);
        Kernel("trellis", "trellis_scatter_f32").Launch(
            _stream, diagonal.Count, TrellisCodebook.TileSize,
            new DiagonalArgs(
                matrix.Address, (nuint)matrix.Stride, tiles.Address, (nuint)tiles.Stride, diagonal.Row, diagonal.Column,
                FragmentOrder(layout), accumulate ? 1 : 0));
    }

    private static int FragmentOrder(TrellisLayout layout) => layout switch
    {
        TrellisLayout.QtipPlain => 0,
        TrellisLayout.QtipKernel => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(layout)),
    };

    private readonly record struct DiagonalArgs(
        nint Destination, nuint DestinationStride, nint Source, nuint SourceStride, int Row, int Column, int FragmentOrder, int Accumulate);
}
