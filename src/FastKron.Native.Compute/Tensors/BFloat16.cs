using System.Runtime.CompilerServices;

namespace FastKron.Native.Compute.Tensors;

/// <summary>A bfloat16 number: 1 sign, 8 exponent and 7 mantissa bits.</summary>
/// <remarks>Storage only: arithmetic is done after widening to float32, which is exact.</remarks>
public readonly record struct BFloat16(ushort Bits)
{
    /// <summary>Rounds to nearest, ties to even; NaN stays a (quiet) NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static BFloat16 FromSingle(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if ((bits & 0x7FFF_FFFF) > 0x7F80_0000)
            return new((ushort)((bits >> 16) | 0x0040));
        return new((ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16));
    }

    /// <summary>The same value as float32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float ToSingle() => BitConverter.UInt32BitsToSingle((uint)Bits << 16);
}
