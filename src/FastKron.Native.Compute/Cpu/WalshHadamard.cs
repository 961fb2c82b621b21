using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace FastKron.Native.Compute.Cpu;

/// <summary>In-cache kernels of the Hadamard transform, on panels of interleaved vectors.</summary>
/// <remarks>
/// A panel holds w vectors of n elements, element i of all vectors side by side. The transform of such a panel is the transform of one vector of n·w
/// elements without its lowest log2(w) levels, so one kernel serves rows (w = 1) and columns (w = a cache line).
/// Every level is a ± b in ascending order, so results are the same bits with and without vector instructions.
/// </remarks>
internal static class WalshHadamard
{
    /// <summary>Sylvester transform, not normalised: for h = lowest, 2·lowest, …: (a, b) ← (a + b, a − b) for elements h apart.</summary>
    /// <param name="x">lowest · 2^p elements; overwritten.</param>
    /// <param name="lowest">Interleaved vectors, a power of two.</param>
    public static void Transform<T>(Span<T> x, int lowest) where T : unmanaged, IFloatingPointIeee754<T>
    {
        int lanes = Vector256<T>.Count, level = lowest;
        if (Vector256.IsHardwareAccelerated && x.Length >= lanes)
        {
            if (level < lanes)
            {
                WithinVectors(x, level);
                level = lanes;
            }
            for (; 4 * level <= x.Length; level *= 4)
                TwoLevels(x, level);
            if (level < x.Length)
                OneLevel(x, level);
            return;
        }
        for (; level < x.Length; level *= 2)
        {
            for (int start = 0; start < x.Length; start += 2 * level)
            {
                for (int i = start; i < start + level; i++)
                    (x[i], x[i + level]) = (x[i] + x[i + level], x[i] - x[i + level]);
            }
        }
    }

    /// <summary>Product with the base matrix: destination block i ← Σ_k signs[i, k] · source block k.</summary>
    /// <param name="source">order blocks of equal length.</param>
    /// <param name="signs">(order, order) ±1.</param>
    /// <param name="order">Order of the base matrix, a multiple of 4.</param>
    /// <param name="destination">Like source; must not overlap it.</param>
    public static void Mix<T>(ReadOnlySpan<T> source, ReadOnlySpan<T> signs, int order, Span<T> destination) where T : unmanaged, IFloatingPointIeee754<T>
    {
        int length = source.Length / order, lanes = Vector256<T>.Count;
        int vectorised = Vector256.IsHardwareAccelerated ? length / lanes * lanes : 0;
        for (int i = 0; i < order && vectorised > 0; i += 4)
            MixFourBlocks(source, signs.Slice(i * order, 4 * order), order, length, vectorised, destination.Slice(i * length, 4 * length));
        for (int i = 0; i < order; i++)
        {
            for (int j = vectorised; j < length; j++)
            {
                T sum = source[j] * signs[i * order];
                for (int k = 1; k < order; k++)
                    sum += source[k * length + j] * signs[i * order + k];
                destination[i * length + j] = sum;
            }
        }
    }

    // ±1 times x is exact, so a fused and an unfused multiply-add agree.
    private static void MixFourBlocks<T>(ReadOnlySpan<T> source, ReadOnlySpan<T> signs, int order, int length, int vectorised, Span<T> destination)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        ref T from = ref MemoryMarshal.GetReference(source);
        ref T to = ref MemoryMarshal.GetReference(destination);
        for (nuint j = 0; j < (nuint)vectorised; j += (nuint)Vector256<T>.Count)
        {
            Vector256<T> x = Vector256.LoadUnsafe(ref from, j);
            Vector256<T> a = x * signs[0], b = x * signs[order], c = x * signs[2 * order], d = x * signs[3 * order];
            for (int k = 1; k < order; k++)
            {
                x = Vector256.LoadUnsafe(ref from, j + (nuint)(k * length));
                a = MultiplyAdd(x, signs[k], a);
                b = MultiplyAdd(x, signs[order + k], b);
                c = MultiplyAdd(x, signs[2 * order + k], c);
                d = MultiplyAdd(x, signs[3 * order + k], d);
            }
            a.StoreUnsafe(ref to, j);
            b.StoreUnsafe(ref to, j + (nuint)length);
            c.StoreUnsafe(ref to, j + (nuint)(2 * length));
            d.StoreUnsafe(ref to, j + (nuint)(3 * length));
        }
    }

    private static void TwoLevels<T>(Span<T> x, int level) where T : unmanaged, IFloatingPointIeee754<T>
    {
        ref T origin = ref MemoryMarshal.GetReference(x);
        nuint h = (nuint)level, lanes = (nuint)Vector256<T>.Count;
        for (nuint start = 0; start < (nuint)x.Length; start += 4 * h)
        {
            for (nuint i = start; i < start + h; i += lanes)
            {
                Vector256<T> a = Vector256.LoadUnsafe(ref origin, i), b = Vector256.LoadUnsafe(ref origin, i + h);
                Vector256<T> c = Vector256.LoadUnsafe(ref origin, i + 2 * h), d = Vector256.LoadUnsafe(ref origin, i + 3 * h);
                (a, b, c, d) = (a + b, a - b, c + d, c - d);
                (a + c).StoreUnsafe(ref origin, i);
                (b + d).StoreUnsafe(ref origin, i + h);
                (a - c).StoreUnsafe(ref origin, i + 2 * h);
                (b - d).StoreUnsafe(ref origin, i + 3 * h);
            }
        }
    }

    private static void OneLevel<T>(Span<T> x, int level) where T : unmanaged, IFloatingPointIeee754<T>
    {
        ref T origin = ref MemoryMarshal.GetReference(x);
        nuint h = (nuint)level, lanes = (nuint)Vector256<T>.Count;
        for (nuint start = 0; start < (nuint)x.Length; start += 2 * h)
        {
            for (nuint i = start; i < start + h; i += lanes)
            {
                Vector256<T> a = Vector256.LoadUnsafe(ref origin, i), b = Vector256.LoadUnsafe(ref origin, i + h);
                (a + b).StoreUnsafe(ref origin, i);
                (a - b).StoreUnsafe(ref origin, i + h);
            }
        }
    }

    // The levels below one vector: lane i gets partner ± itself, + where bit h of i is clear.
    private static void WithinVectors<T>(Span<T> x, int lowest) where T : unmanaged, IFloatingPointIeee754<T>
    {
        ref T origin = ref MemoryMarshal.GetReference(x);
        for (nuint i = 0; i < (nuint)x.Length; i += (nuint)Vector256<T>.Count)
        {
            Vector256<T> v = Vector256.LoadUnsafe(ref origin, i);
            if (typeof(T) == typeof(float))
            {
                Vector256<float> s = v.AsSingle();
                if (lowest <= 1)
                    s = Vector256.MultiplyAddEstimate(s, Vector256.Create(1f, -1, 1, -1, 1, -1, 1, -1), Vector256.Shuffle(s, Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6)));
                if (lowest <= 2)
                    s = Vector256.MultiplyAddEstimate(s, Vector256.Create(1f, 1, -1, -1, 1, 1, -1, -1), Vector256.Shuffle(s, Vector256.Create(2, 3, 0, 1, 6, 7, 4, 5)));
                s = Vector256.MultiplyAddEstimate(s, Vector256.Create(1f, 1, 1, 1, -1, -1, -1, -1), Vector256.Shuffle(s, Vector256.Create(4, 5, 6, 7, 0, 1, 2, 3)));
                v = s.As<float, T>();
            }
            else
            {
                Vector256<double> s = v.AsDouble();
                if (lowest <= 1)
                    s = Vector256.MultiplyAddEstimate(s, Vector256.Create(1.0, -1, 1, -1), Vector256.Shuffle(s, Vector256.Create(1L, 0, 3, 2)));
                s = Vector256.MultiplyAddEstimate(s, Vector256.Create(1.0, 1, -1, -1), Vector256.Shuffle(s, Vector256.Create(2L, 3, 0, 1)));
                v = s.As<double, T>();
            }
            v.StoreUnsafe(ref origin, i);
        }
    }

    private static Vector256<T> MultiplyAdd<T>(Vector256<T> x, T sign, Vector256<T> sum) where T : unmanaged, IFloatingPointIeee754<T> => typeof(T) == typeof(float)
        ? Vector256.MultiplyAddEstimate(x.AsSingle(), Vector256.Create(sign).AsSingle(), sum.AsSingle()).As<float, T>()
        : Vector256.MultiplyAddEstimate(x.AsDouble(), Vector256.Create(sign).AsDouble(), sum.AsDouble()).As<double, T>();
}
