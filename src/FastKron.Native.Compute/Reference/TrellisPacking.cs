using System.Runtime.InteropServices;

namespace FastKron.Native.Compute.Reference;

/// <summary>Places the states of trellis paths in the words of a packed matrix and back, and the weights of a tile in the order of its path.</summary>
/// <remarks>
/// A tile is a ring of 256·K bits, most significant first: the 16-bit state of step t begins at bit t·K·V, so its upper K·V bits are its own and the
/// rest are shared with the next states. Source: trellis-formats-and-kernels.md section 2.2, hessians-and-rounding.md section 4.7.
/// </remarks>
public static class TrellisPacking
{
    private static readonly byte[] PlainOrder = [.. Enumerable.Range(0, TrellisCodebook.TileSize).Select(i => (byte)i)];
    private static readonly byte[] KernelOrder = [.. Enumerable.Range(0, TrellisCodebook.TileSize).Select(FragmentPosition)];

    /// <summary>Position in the 16 × 16 tile (row · 16 + column) of each of the 256 weights of a path.</summary>
    public static ReadOnlySpan<byte> Order(TrellisLayout layout) => layout switch
    {
        TrellisLayout.QtipPlain => PlainOrder,
        TrellisLayout.QtipKernel => KernelOrder,
        _ => throw new ArgumentOutOfRangeException(nameof(layout)),
    };

    /// <summary>Rows and columns of a packed matrix are multiples of this: 16, or 32 where tiles lie in 2 × 2 groups.</summary>
    public static int Granularity(TrellisLayout layout) => layout == TrellisLayout.QtipKernel ? 32 : 16;

    /// <summary>Packs a matrix.</summary>
    /// <param name="codebook">Code and rate; K·V at most 8.</param>
    /// <param name="layout">Bit placement.</param>
    /// <param name="rows">m.</param>
    /// <param name="columns">n.</param>
    /// <param name="states">(m/16 · n/16, 256/V): tiles row-major.</param>
    /// <param name="words">(m/16 · n/16, 16·K), out.</param>
    /// <exception cref="ArgumentException">Sizes do not fit the layout, or the states of a tile do not overlap as a ring.</exception>
    public static void Pack(
        TrellisCodebook codebook, TrellisLayout layout, int rows, int columns, ReadOnlySpan<ushort> states, Span<ushort> words)
    {
        CheckSizes(codebook, layout, rows, columns, states.Length, words.Length);
        int tileColumns = columns / 16, steps = codebook.Steps;
        for (int tile = 0; tile < rows / 16 * tileColumns; tile++)
            PackTile(codebook, layout, tileColumns, tile, states.Slice(tile * steps, steps), words);
    }

    /// <summary>Packs one tile of a matrix, whose sizes are not checked.</summary>
    /// <param name="codebook">Code and rate; K·V at most 8.</param>
    /// <param name="layout">Bit placement.</param>
    /// <param name="tileColumns">n/16.</param>
    /// <param name="tile">Row-major number of the tile.</param>
    /// <param name="ring">256/V states.</param>
    /// <param name="words">(m/16 · n/16, 16·K): the tile's bits are written.</param>
    /// <exception cref="ArgumentException">The states do not overlap as a ring.</exception>
    public static void PackTile(TrellisCodebook codebook, TrellisLayout layout, int tileColumns, int tile, ReadOnlySpan<ushort> ring, Span<ushort> words)
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(words);
        int steps = ring.Length, shift = codebook.StepBits;
        for (int t = 0; t < steps; t++)
        {
            if ((ushort)(ring[t] << shift) >> shift != ring[(t + 1) % steps] >> shift)
                throw new ArgumentException($"tile {tile}: states {t} (0x{ring[t]:X4}) and {(t + 1) % steps} (0x{ring[(t + 1) % steps]:X4}) do not overlap");
        }
        for (int p = 0; p < 32 * codebook.Bits; p++)
        {
            int bit = 8 * p;
            bytes[Address(layout, codebook.Bits, tileColumns, tile, p)] = (byte)(ring[bit / shift] >> (8 - bit % shift));
        }
    }

    /// <summary>Unpacks a matrix: the inverse of <see cref="Pack"/>.</summary>
    /// <param name="codebook">Code and rate; K·V at most 8.</param>
    /// <param name="layout">Bit placement.</param>
    /// <param name="rows">m.</param>
    /// <param name="columns">n.</param>
    /// <param name="words">(m/16 · n/16, 16·K).</param>
    /// <param name="states">(m/16 · n/16, 256/V), out: tiles row-major.</param>
    /// <exception cref="ArgumentException">Sizes do not fit the layout.</exception>
    public static void Unpack(
        TrellisCodebook codebook, TrellisLayout layout, int rows, int columns, ReadOnlySpan<ushort> words, Span<ushort> states)
    {
        CheckSizes(codebook, layout, rows, columns, states.Length, words.Length);
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(words);
        int tileColumns = columns / 16, steps = codebook.Steps, ringBytes = 32 * codebook.Bits;
        for (int tile = 0; tile < rows / 16 * tileColumns; tile++)
        {
            for (int t = 0; t < steps; t++)
            {
                int bit = t * codebook.StepBits;
                uint window = 0;
                for (int p = bit / 8; p < bit / 8 + 3; p++)
                    window = window << 8 | bytes[Address(layout, codebook.Bits, tileColumns, tile, p % ringBytes)];
                states[tile * steps + t] = (ushort)(window >> (8 - bit % 8));
            }
        }
    }

    /// <summary>Throws unless a matrix fits its layout.</summary>
    /// <exception cref="ArgumentException">With the sizes found and expected.</exception>
    public static void CheckSizes(TrellisLayout layout, int rows, int columns)
    {
        int multiple = Granularity(layout);
        if (rows <= 0 || columns <= 0 || rows % multiple != 0 || columns % multiple != 0)
            throw new ArgumentException($"({rows}, {columns}) matrix in layout {layout}: expected positive multiples of {multiple}");
    }

    // Byte of the packed matrix that holds bits 8p … 8p+7 of a tile's ring.
    private static int Address(TrellisLayout layout, int bits, int tileColumns, int tile, int p)
    {
        // Little-endian 16-bit words whose most significant bit comes first.
        if (layout == TrellisLayout.QtipPlain)
            return tile * 32 * bits + (p ^ 1);

        // 2 × 2 tiles share 32 lane records of 4 little-endian K-byte integers, in the order (column half, row half).
        int tileRow = tile / tileColumns, tileColumn = tile % tileColumns;
        int group = tileRow / 2 * (tileColumns / 2) + tileColumn / 2, lane = p / bits;
        return (((group * 32 + lane) * 2 + tileColumn % 2) * 2 + tileRow % 2) * bits + (bits - 1 - p % bits);
    }

    // Weight i = 8·lane + j of a path sits where lane's element j of an mma.m16n8k16 A fragment does.
    private static byte FragmentPosition(int i)
    {
        int lane = i / 8, j = i % 8;
        int row = lane / 4 + (j & 2) * 4, column = lane % 4 * 2 + (j & 1) + (j & 4) * 2;
        return (byte)(row * 16 + column);
    }

    private static void CheckSizes(TrellisCodebook codebook, TrellisLayout layout, int rows, int columns, int states, int words)
    {
        CheckSizes(layout, rows, columns);
        if (codebook.StepBits > 8)
            throw new ArgumentException($"{codebook.Name} with {codebook.StepBits} bits a step; expected at most 8");
        long tiles = (long)rows / 16 * (columns / 16);
        if (states != tiles * codebook.Steps || words != tiles * codebook.PackedWords)
        {
            throw new ArgumentException(
                $"({rows}, {columns}) matrix: expected {tiles * codebook.Steps} states and {tiles * codebook.PackedWords} words, found {states} and {words}");
        }
    }
}
