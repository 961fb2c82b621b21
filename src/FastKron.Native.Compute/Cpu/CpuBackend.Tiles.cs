using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public void GatherTiles(Tensor matrix, TileDiagonal diagonal, TrellisLayout layout, Tensor tiles, bool accumulate)
    {
        TrellisArguments.DiagonalTiles(onHost: true, matrix, diagonal, tiles);
        ReadOnlySpan<byte> order = TrellisPacking.Order(layout);
        for (int t = 0; t < diagonal.Count; t++)
        {
            Span<float> tile = tiles.Row<float>(t);
            Tensor source = Tile(matrix, diagonal, t);
            for (int i = 0; i < tile.Length; i++)
            {
                float value = source.Row<float>(order[i] >> 4)[order[i] & 15];
                tile[i] = accumulate ? tile[i] + value : value;
            }
        }
    }

    /// <inheritdoc/>
    public void ScatterTiles(Tensor tiles, TileDiagonal diagonal, TrellisLayout layout, Tensor matrix, bool accumulate)
    {
        TrellisArguments.DiagonalTiles(onHost: true, matrix, diagonal, tiles);
        ReadOnlySpan<byte> order = TrellisPacking.Order(layout);
        for (int t = 0; t < diagonal.Count; t++)
        {
            ReadOnlySpan<float> tile = tiles.Row<float>(t);
            Tensor destination = Tile(matrix, diagonal, t);
            for (int i = 0; i < tile.Length; i++)
            {
                ref float value = ref destination.Row<float>(order[i] >> 4)[order[i] & 15];
                value = accumulate ? value + tile[i] : tile[i];
            }
        }
    }

    private static Tensor Tile(Tensor matrix, TileDiagonal diagonal, int t) => matrix.Slice(
        TileDiagonal.TileRows * (diagonal.Row + t), TileDiagonal.TileRows, TileDiagonal.TileRows * (diagonal.Column - t), TileDiagonal.TileRows);
}
