using FastKron.Native.Compute.Reference;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Decodes one packed matrix tile by tile into float32.</summary>
/// <remarks>
/// Both layouts cut a tile's ring into 32 records of 8·K bits; record l and its successor hold the states of weights 8l … 8l + 7 whole. In the plain
/// layout records follow each other and the bytes of each 16-bit word are exchanged; in the kernel layout a record is a little-endian integer and the
/// records of a tile lie 4·K bytes apart (trellis-formats-and-kernels.md section 2.2).
/// </remarks>
internal readonly unsafe struct TrellisDecoder
{
    private const int Lanes = 32;

    private readonly byte* _codes;
    private readonly TrellisMatrix _weights;

    public TrellisDecoder(TrellisMatrix weights)
    {
        _codes = (byte*)weights.Codes.Address;
        _weights = weights;
    }

    /// <summary>Decodes the 16 × 16 tile (tileRow, tileColumn).</summary>
    /// <param name="tileRow">In tiles.</param>
    /// <param name="tileColumn">In tiles.</param>
    /// <param name="values">The codebook's values, (2^16, V).</param>
    /// <param name="destination">Where element (0, 0) of the tile goes.</param>
    /// <param name="stride">Elements from one row of the destination to the next.</param>
    public void Decode(int tileRow, int tileColumn, float* values, float* destination, nint stride)
    {
        TrellisCodebook codebook = _weights.Codebook;
        int bits = codebook.Bits, vector = codebook.Vector, stepBits = codebook.StepBits;
        int tileColumns = _weights.Columns / 16;
        bool kernel = _weights.Layout == TrellisLayout.QtipKernel;
        byte* records = kernel
            ? _codes + ((nint)(tileRow / 2) * (tileColumns / 2) + tileColumn / 2) * (4 * Lanes * bits) + (tileColumn % 2 * 2 + tileRow % 2) * bits
            : _codes + ((nint)tileRow * tileColumns + tileColumn) * (Lanes * bits);

        ReadOnlySpan<byte> order = TrellisPacking.Order(_weights.Layout);
        ulong record = Record(records, 0, bits, kernel);
        for (int lane = 0; lane < Lanes; lane++)
        {
            ulong following = Record(records, (lane + 1) % Lanes, bits, kernel);
            ulong window = record << (8 * bits) | following;
            int shift = 16 * bits - TrellisCodebook.StateBits;
            for (int i = 8 * lane; i < 8 * lane + 8; i += vector, shift -= stepBits)
            {
                float* codeword = values + (ushort)(window >> shift) * vector;
                for (int v = 0; v < vector; v++)
                    destination[(order[i + v] >> 4) * stride + (order[i + v] & 15)] = codeword[v];
            }
            record = following;
        }
    }

    // The 8·K bits of a lane, the first one most significant.
    private static ulong Record(byte* records, int lane, int bits, bool kernel)
    {
        ulong record = 0;
        for (int b = 0; b < bits; b++)
            record = record << 8 | (kernel ? records[lane * 4 * bits + bits - 1 - b] : records[(lane * bits + b) ^ 1]);
        return record;
    }
}
