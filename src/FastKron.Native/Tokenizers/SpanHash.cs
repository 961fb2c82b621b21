using System.Buffers.Binary;
using System.Numerics;

namespace FastKron.Native.Tokenizers;

/// <summary>A quick 64-bit hash of short byte strings for the open-addressing tables of this folder; no cryptographic strength, and never stored.</summary>
internal static class SpanHash
{
    private const ulong Multiplier = 0x9E3779B97F4A7C15;     // 2⁶⁴ / golden ratio, odd

    /// <summary>Hash of <paramref name="bytes"/>; the low and the high bits are both usable.</summary>
    public static ulong Compute(ReadOnlySpan<byte> bytes)
    {
        ulong hash = (ulong)bytes.Length * Multiplier;
        while (bytes.Length >= sizeof(ulong))
        {
            hash = Mix(hash ^ BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[sizeof(ulong)..];
        }
        ulong tail = 0;
        if (bytes.Length >= sizeof(uint))
        {
            tail = BinaryPrimitives.ReadUInt32LittleEndian(bytes) | ((ulong)BinaryPrimitives.ReadUInt32LittleEndian(bytes[^4..]) << 32);
        }
        else
        {
            for (int i = 0; i < bytes.Length; i++)
                tail = (tail << 8) | bytes[i];
        }
        return Mix(hash ^ tail);
    }

    /// <summary>Hash of a pair of token ids.</summary>
    public static ulong Compute(ulong pair) => Mix(pair);

    private static ulong Mix(ulong value)
    {
        ulong high = Math.BigMul(value ^ Multiplier, Multiplier, out ulong low);
        return BitOperations.RotateLeft(high, 32) ^ low;
    }
}
