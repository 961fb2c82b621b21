namespace FastKron.Native.Compute;

/// <summary>How much of a tile the first tail-biting pass sees.</summary>
/// <param name="Weights">Weights on each side of the seam; 128 is the whole tile.</param>
public readonly record struct TailBitingWindow(int Weights)
{
    /// <summary>128 + 128: the whole tile.</summary>
    public static TailBitingWindow Full => new(128);

    /// <summary>64 + 64: a quarter less work, 0.5 % more error at 2 bits.</summary>
    public static TailBitingWindow Half => new(64);

    /// <summary>Trellis steps on each side of the seam.</summary>
    /// <exception cref="ArgumentException">Not between one step and half a tile, or no whole number of steps.</exception>
    public int Steps(TrellisCodebook codebook)
    {
        if (Weights <= 0 || Weights > TrellisCodebook.TileSize / 2 || Weights % codebook.Vector != 0)
            throw new ArgumentException($"window of {Weights} weights; expected 1 to {TrellisCodebook.TileSize / 2}, a multiple of {codebook.Vector}");
        return Weights / codebook.Vector;
    }
}
