using FastKron.Native.Compute.Reference;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Decodes one packed matrix tile by tile into float32.</summary>
/// <remarks>
/// V = 2: both layouts cut a tile's ring into 32 records of 8·K bits; record l and its successor hold the states of weights 8l … 8l + 7 whole. In the plain
/// layout records follow each other and the bytes of each 16-bit word are exchanged; in the kernel layout a record is a little-endian integer and the
/// records of a tile lie 4·K bytes apart (trellis-formats-and-kernels.md section 2.2).
/// </remarks>
internal readonly unsafe struct TrellisDecoder
{
    private const int Lanes = 32;

    private readonly byte* _codes;
    private readonly float* _values;
    private readonly int _bits;
    private readonly int _tileColumns;
    private readonly TrellisLayout _layout;
    private readonly bool _single;

    /// <summary>Prepares to decode.</summary>
    /// <param name="weights">Host memory, contiguous; V = 2 at 2, 3 or 4 bits, or V = 1 in the plain layout.</param>
    /// <param name="values">The codebook's values, pinned.</param>
    public TrellisDecoder(TrellisMatrix weights, float* values)
    {
        _codes = (byte*)weights.Codes.Address;
        _values = values;
        _bits = weights.Codebook.Bits;
        _tileColumns = weights.Columns / 16;
        _layout = weights.Layout;
        _single = weights.Codebook.Vector == 1;
    }

    /// <summary>Decodes the 16 × 16 tile (tileRow, tileColumn).</summary>
    /// <param name="tileRow">In tiles.</param>
    /// <param name="tileColumn">In tiles.</param>
    /// <param name="destination">Where element (0, 0) of the tile goes.</param>
    /// <param name="stride">Elements from one row of the destination to the next.</param>
    public void Decode(int tileRow, int tileColumn, float* destination, nint stride)
    {
        if (_single)
        {
            DecodeSingles((ushort*)_codes + ((nint)tileRow * _tileColumns + tileColumn) * (16 * _bits), destination, stride);
            return;
        }

        // Positions are additive: weight 8l + j of a path lies at that of 8l plus that of j. Its two columns are adjacent.
        ReadOnlySpan<byte> order = TrellisPacking.Order(_layout);
        nint second = Offset(order[2]), third = Offset(order[4]), fourth = Offset(order[6]);
        bool kernel = _layout == TrellisLayout.QtipKernel;
        byte* records = kernel
            ? _codes + ((nint)(tileRow / 2) * (_tileColumns / 2) + tileColumn / 2) * (4 * Lanes * _bits) + (tileColumn % 2 * 2 + tileRow % 2) * _bits
            : _codes + ((nint)tileRow * _tileColumns + tileColumn) * (Lanes * _bits);

        ulong* codewords = (ulong*)_values;
        int recordBits = 8 * _bits, shift = 2 * recordBits - TrellisCodebook.StateBits, stepBits = 2 * _bits;
        ulong first = kernel ? KernelRecord(records, 0) : PlainRecord(records, 0), record = first;
        for (int lane = 0; lane < Lanes; lane++)
        {
            ulong following = lane == Lanes - 1 ? first : kernel ? KernelRecord(records, lane + 1) : PlainRecord(records, lane + 1);
            ulong window = record << recordBits | following;
            float* target = destination + Offset(order[8 * lane]);
            *(ulong*)target = codewords[(ushort)(window >> shift)];
            *(ulong*)(target + second) = codewords[(ushort)(window >> (shift - stepBits))];
            *(ulong*)(target + third) = codewords[(ushort)(window >> (shift - 2 * stepBits))];
            *(ulong*)(target + fourth) = codewords[(ushort)(window >> (shift - 3 * stepBits))];
            record = following;
        }

        nint Offset(byte position) => (position >> 4) * stride + (position & 15);
    }

    // V = 1, plain: the state of step t is the 16 bits of the ring from bit t·K on.
    private void DecodeSingles(ushort* words, float* destination, nint stride)
    {
        for (int t = 0; t < TrellisCodebook.TileSize; t++)
        {
            int bit = t * _bits, word = bit / 16;
            uint pair = (uint)words[word] << 16 | words[word + 1 == 16 * _bits ? 0 : word + 1];
            destination[(t >> 4) * stride + (t & 15)] = _values[(pair << (bit & 15)) >> 16];
        }
    }

    // The 8·K bits of a lane, the first one most significant.
    private ulong KernelRecord(byte* records, int lane)
    {
        byte* record = records + lane * 4 * _bits;
        return _bits switch
        {
            2 => *(ushort*)record,
            3 => *(ushort*)record | (uint)record[2] << 16,
            _ => *(uint*)record,
        };
    }

    private ulong PlainRecord(byte* records, int lane)
    {
        ulong record = 0;
        for (int b = lane * _bits; b < (lane + 1) * _bits; b++)
            record = record << 8 | records[b ^ 1];
        return record;
    }
}
