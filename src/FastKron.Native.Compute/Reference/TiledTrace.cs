using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Reference;

/// <summary>Σ_ij tr(D_out,i S_ij D_in,j S_ijᵀ) over 16 × 16 tiles, in float64.</summary>
public static class TiledTrace
{
    private const int Tile = TileDiagonal.TileRows;

    /// <summary>The sum over the tiles of one row of tiles.</summary>
    /// <param name="s">(rows, n) F32, host.</param>
    /// <param name="tileRow">Which row of tiles.</param>
    /// <param name="dOut">(rows, 16) F64, host: blocks above each other; null for the identity.</param>
    /// <param name="dIn">(matrices · n, 16) F64 likewise.</param>
    /// <param name="matrix">Whose n rows of <paramref name="dIn"/> count.</param>
    public static double OfRow(Tensor s, int tileRow, Tensor? dOut, Tensor? dIn, int matrix)
    {
        double sum = 0;
        Span<double> tile = stackalloc double[Tile * Tile];
        for (int column = 0; column < s.Columns; column += Tile)
        {
            for (int i = 0; i < tile.Length; i++)
                tile[i] = s.Row<float>(tileRow * Tile + i / Tile)[column + i % Tile];
            for (int i = 0; i < tile.Length; i++)
            {
                double left = tile[i], right = tile[i];
                if (dOut is not null)
                {
                    left = 0;
                    ReadOnlySpan<double> row = dOut.Row<double>(tileRow * Tile + i / Tile);
                    for (int k = 0; k < Tile; k++)
                        left += row[k] * tile[k * Tile + i % Tile];
                }
                if (dIn is not null)
                {
                    right = 0;
                    for (int k = 0; k < Tile; k++)
                        right += tile[i / Tile * Tile + k] * dIn.Row<double>(matrix * s.Columns + column + k)[i % Tile];
                }
                sum += left * right;
            }
        }
        return sum;
    }
}
