using System.Numerics;
using System.Runtime.InteropServices;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Formats;

/// <summary>Finds stored numbers that are NaN, infinite, or become infinite in the type they are read into.</summary>
/// <remarks>Without the sign, the bits of a floating-point number grow with its magnitude, and infinity and NaN come last: one comparison finds all.</remarks>
internal static class FiniteValues
{
    /// <summary>Index of the first such number, or −1.</summary>
    /// <param name="values">Stored numbers, little-endian; any alignment.</param>
    /// <param name="stored">BF16, F16 or F32.</param>
    /// <param name="read">Type they are rounded to: BF16, F16 or F32.</param>
    public static int IndexOfFirstBeyond(ReadOnlySpan<byte> values, DType stored, DType read)
    {
        // The smallest magnitude that rounds to infinity: 65520 in f16, 2^128 − 2^119 in bf16.
        return (stored, read) switch
        {
            (DType.F32, DType.F16) => First32(values, 0x477F_F000),
            (DType.F32, DType.BF16) => First32(values, 0x7F7F_8000),
            (DType.F32, _) => First32(values, 0x7F80_0000),
            (DType.BF16, DType.F16) => First16(values, 0x4780),
            (DType.BF16, _) => First16(values, 0x7F80),
            (DType.F16, _) => First16(values, 0x7C00),
            _ => throw new ArgumentOutOfRangeException(nameof(stored)),
        };
    }

    private static int First32(ReadOnlySpan<byte> values, uint limit) => First(MemoryMarshal.Cast<byte, uint>(values), 0x7FFF_FFFFu, limit);

    private static int First16(ReadOnlySpan<byte> values, ushort limit) => First(MemoryMarshal.Cast<byte, ushort>(values), (ushort)0x7FFF, limit);

    private static int First<T>(ReadOnlySpan<T> values, T withoutSign, T limit) where T : unmanaged, IBinaryInteger<T>
    {
        int i = 0;
        var masks = new Vector<T>(withoutSign);
        var limits = new Vector<T>(limit);
        while (i <= values.Length - Vector<T>.Count && !Vector.GreaterThanOrEqualAny(new Vector<T>(values[i..]) & masks, limits))
            i += Vector<T>.Count;
        for (; i < values.Length; i++)
        {
            if ((values[i] & withoutSign) >= limit)
                return i;
        }
        return -1;
    }
}
