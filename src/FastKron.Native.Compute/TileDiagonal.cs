namespace FastKron.Native.Compute;

/// <summary>A run of 16 × 16 tiles on an anti-diagonal of a matrix: tile t lies in tile row Row + t and tile column Column − t.</summary>
/// <param name="Row">Tile row of tile 0.</param>
/// <param name="Column">Tile column of tile 0.</param>
/// <param name="Count">Tiles.</param>
public readonly record struct TileDiagonal(int Row, int Column, int Count)
{
    /// <summary>Rows and columns of a tile.</summary>
    public const int TileRows = 16;
}
