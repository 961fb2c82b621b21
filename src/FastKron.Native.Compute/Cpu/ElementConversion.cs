using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Conversion of runs of adjacent elements between the floating-point types, to nearest even; the narrowing is done once.</summary>
internal static unsafe class ElementConversion
{
    /// <summary>Converts <paramref name="count"/> elements. Types must be floating-point, or equal.</summary>
    public static void Convert(DType from, void* source, DType to, void* destination, int count)
    {
        if (from == to)
        {
            Buffer.MemoryCopy(source, destination, (long)count * to.Size(), (long)count * to.Size());
            return;
        }
        switch (from, to)
        {
            case (DType.BF16, DType.F32):
                ToSingle((ushort*)source, (float*)destination, count);
                break;
            case (DType.F16, DType.F32):
                TensorPrimitives.ConvertToSingle(new ReadOnlySpan<Half>(source, count), new Span<float>(destination, count));
                break;
            case (DType.F64, DType.F32):
                TensorPrimitives.ConvertTruncating(new ReadOnlySpan<double>(source, count), new Span<float>(destination, count));
                break;
            case (DType.F32, DType.F64):
                TensorPrimitives.ConvertTruncating(new ReadOnlySpan<float>(source, count), new Span<double>(destination, count));
                break;
            case (DType.F32, DType.BF16):
                ToBFloat16((float*)source, (ushort*)destination, count);
                break;
            case (DType.F32, DType.F16):
                TensorPrimitives.ConvertToHalf(new ReadOnlySpan<float>(source, count), new Span<Half>(destination, count));
                break;
            case (DType.F64, DType.BF16):
                for (int i = 0; i < count; i++)
                    ((BFloat16*)destination)[i] = ToBFloat16(((double*)source)[i]);
                break;
            case (DType.F64, DType.F16):
                for (int i = 0; i < count; i++)
                    ((Half*)destination)[i] = (Half)((double*)source)[i];
                break;
            default:
                ThroughSingle(from, source, to, destination, count);
                break;
        }
    }

    /// <summary>Rounds a float64 once, to nearest even.</summary>
    public static BFloat16 ToBFloat16(double value) => BFloat16.FromSingle(RoundToOdd(value));

    /// <summary>Widens bfloat16, exactly.</summary>
    public static void ToSingle(ushort* source, float* destination, int count)
    {
        int i = 0;
        for (; i <= count - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector.Widen(Vector.Load(source + i), out Vector<uint> low, out Vector<uint> high);
            Vector.Store(Vector.ShiftLeft(low, 16), (uint*)destination + i);
            Vector.Store(Vector.ShiftLeft(high, 16), (uint*)destination + i + Vector<uint>.Count);
        }
        for (; i < count; i++)
            ((uint*)destination)[i] = (uint)source[i] << 16;
    }

    /// <summary>Narrows to bfloat16 as <see cref="BFloat16.FromSingle"/> does.</summary>
    public static void ToBFloat16(float* source, ushort* destination, int count)
    {
        int i = 0;
        for (; i <= count - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector<uint> low = ToBFloat16(Vector.Load((uint*)source + i)), high = ToBFloat16(Vector.Load((uint*)source + i + Vector<uint>.Count));
            Vector.Store(Vector.Narrow(low, high), destination + i);
        }
        for (; i < count; i++)
            ((BFloat16*)destination)[i] = BFloat16.FromSingle(source[i]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<uint> ToBFloat16(Vector<uint> bits)
    {
        Vector<uint> upper = Vector.ShiftRightLogical(bits, 16);
        Vector<uint> rounded = Vector.ShiftRightLogical(bits + Vector.Create(0x7FFFu) + (upper & Vector<uint>.One), 16);
        Vector<uint> isNaN = Vector.GreaterThan(bits & Vector.Create(0x7FFF_FFFFu), Vector.Create(0x7F80_0000u));
        return Vector.ConditionalSelect(isNaN, upper | Vector.Create(0x0040u), rounded);
    }

    /// <summary>
    /// The neighbour in float32 whose last mantissa bit is odd where the value is not representable: rounding that to bfloat16 equals rounding
    /// the float64 once, because float32 has more than two bits beyond bfloat16.
    /// </summary>
    private static float RoundToOdd(double value)
    {
        float nearest = (float)value;
        uint bits = BitConverter.SingleToUInt32Bits(nearest);
        if (nearest == value || !float.IsFinite(nearest) || (bits & 1) != 0)
            return nearest;
        return BitConverter.UInt32BitsToSingle(Math.Abs((double)nearest) > Math.Abs(value) ? bits - 1 : bits + 1);
    }

    /// <summary>The pairs (BF16, F64), (F16, F64), (BF16, F16) and (F16, BF16): widening to float32 is exact.</summary>
    private static void ThroughSingle(DType from, void* source, DType to, void* destination, int count)
    {
        const int Chunk = 512;
        float* buffer = stackalloc float[Chunk];
        for (int start = 0; start < count; start += Chunk)
        {
            int length = Math.Min(Chunk, count - start);
            Convert(from, (byte*)source + (nint)start * from.Size(), DType.F32, buffer, length);
            Convert(DType.F32, buffer, to, (byte*)destination + (nint)start * to.Size(), length);
        }
    }
}
