using System.Numerics.Tensors;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Σ_ij tr(D_out,i S_ij D_in,j S_ijᵀ) over 16 × 16 tiles, in float64.</summary>
internal static class TiledTrace
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
        Span<double> tile = stackalloc double[Tile * Tile], left = stackalloc double[Tile * Tile], right = stackalloc double[Tile * Tile];
        for (int column = 0; column < s.Columns; column += Tile)
        {
            for (int i = 0; i < Tile; i++)
                TensorPrimitives.ConvertTruncating(s.Row<float>(tileRow * Tile + i).Slice(column, Tile), tile.Slice(i * Tile, Tile));
            for (int i = 0; i < Tile; i++)
            {
                // Rows i of D_out,i S_ij and of S_ij D_in,j.
                Span<double> row = tile.Slice(i * Tile, Tile), ds = left.Slice(i * Tile, Tile), sd = right.Slice(i * Tile, Tile);
                if (dOut is null)
                    row.CopyTo(ds);
                else
                    ds.Clear();
                if (dIn is null)
                    row.CopyTo(sd);
                else
                    sd.Clear();
                for (int k = 0; k < Tile; k++)
                {
                    if (dOut is not null)
                        TensorPrimitives.MultiplyAdd(tile.Slice(k * Tile, Tile), dOut.Row<double>(tileRow * Tile + i)[k], ds, ds);
                    if (dIn is not null)
                        TensorPrimitives.MultiplyAdd(dIn.Row<double>(matrix * s.Columns + column + k), row[k], sd, sd);
                }
            }
            for (int i = 0; i < tile.Length; i++)
                sum += left[i] * right[i];
        }
        return sum;
    }
}
