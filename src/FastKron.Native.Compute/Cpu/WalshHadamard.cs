using System.Numerics;
using System.Runtime.CompilerServices;
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
    /// <param name="lowest">Interleaved vectors: a power of two, or a multiple of the lanes of a 256-bit vector.</param>
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
    /// <param name="strip">Scratch of at least <see cref="StripLength{T}"/> elements.</param>
    /// <param name="destination">Like source; must not overlap it.</param>
    public static void Mix<T>(ReadOnlySpan<T> source, ReadOnlySpan<T> signs, int order, Span<T> strip, Span<T> destination)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        // Blocks lie a power of two apart, so their elements j share few cache sets: two vectors of each are copied beside each other first.
        int length = source.Length / order, width = 2 * Vector256<T>.Count;
        Span<T> inputs = strip[..(order * width)], sums = strip.Slice(order * width, order * width);
        for (int j = 0; j < length; j += width)
        {
            int count = Math.Min(width, length - j);
            for (int k = 0; k < order; k++)
            {
                source.Slice(k * length + j, count).CopyTo(inputs[(k * width)..]);
                inputs.Slice(k * width + count, width - count).Clear();
            }
            for (int i = 0; i < order; i += 4)
                MixFour(inputs, signs.Slice(i * order, 4 * order), order, sums.Slice(i * width, 4 * width));
            for (int i = 0; i < order; i++)
                sums.Slice(i * width, count).CopyTo(destination[(i * length + j)..]);
        }
    }

    /// <summary>Scratch elements of <see cref="Mix"/>.</summary>
    public static int StripLength<T>(int order) => 4 * order * Vector256<T>.Count;

    // ±1 times x is exact, so a fused and an unfused multiply-add agree.
    private static void MixFour<T>(ReadOnlySpan<T> inputs, ReadOnlySpan<T> signs, int order, Span<T> sums) where T : unmanaged, IFloatingPointIeee754<T>
    {
        int lanes = Vector256<T>.Count, width = 2 * lanes;
        if (!Vector256.IsHardwareAccelerated)
        {
            for (int i = 0; i < sums.Length; i++)
            {
                (int row, int lane) = Math.DivRem(i, width);
                T sum = T.Zero;
                for (int k = 0; k < order; k++)
                    sum += inputs[k * width + lane] * signs[row * order + k];
                sums[i] = sum;
            }
            return;
        }
        ref T x = ref MemoryMarshal.GetReference(inputs);
        ref T s0 = ref MemoryMarshal.GetReference(signs);
        ref T s1 = ref Unsafe.Add(ref s0, order), s2 = ref Unsafe.Add(ref s1, order), s3 = ref Unsafe.Add(ref s2, order);
        Vector256<T> a0 = default, a1 = default, b0 = default, b1 = default, c0 = default, c1 = default, d0 = default, d1 = default;
        for (int k = 0; k < order; k++)
        {
            Vector256<T> x0 = Vector256.LoadUnsafe(ref x, (nuint)(k * width)), x1 = Vector256.LoadUnsafe(ref x, (nuint)(k * width + lanes));
            Vector256<T> s = Vector256.Create(Unsafe.Add(ref s0, k));
            (a0, a1) = (MultiplyAdd(x0, s, a0), MultiplyAdd(x1, s, a1));
            s = Vector256.Create(Unsafe.Add(ref s1, k));
            (b0, b1) = (MultiplyAdd(x0, s, b0), MultiplyAdd(x1, s, b1));
            s = Vector256.Create(Unsafe.Add(ref s2, k));
            (c0, c1) = (MultiplyAdd(x0, s, c0), MultiplyAdd(x1, s, c1));
            s = Vector256.Create(Unsafe.Add(ref s3, k));
            (d0, d1) = (MultiplyAdd(x0, s, d0), MultiplyAdd(x1, s, d1));
        }
        ref T sum0 = ref MemoryMarshal.GetReference(sums);
        a0.StoreUnsafe(ref sum0);
        a1.StoreUnsafe(ref sum0, (nuint)lanes);
        b0.StoreUnsafe(ref sum0, (nuint)width);
        b1.StoreUnsafe(ref sum0, (nuint)(width + lanes));
        c0.StoreUnsafe(ref sum0, (nuint)(2 * width));
        c1.StoreUnsafe(ref sum0, (nuint)(2 * width + lanes));
        d0.StoreUnsafe(ref sum0, (nuint)(3 * width));
        d1.StoreUnsafe(ref sum0, (nuint)(3 * width + lanes));
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

    private static Vector256<T> MultiplyAdd<T>(Vector256<T> x, Vector256<T> sign, Vector256<T> sum) where T : unmanaged => typeof(T) == typeof(float)
        ? Vector256.MultiplyAddEstimate(x.AsSingle(), sign.AsSingle(), sum.AsSingle()).As<float, T>()
        : Vector256.MultiplyAddEstimate(x.AsDouble(), sign.AsDouble(), sum.AsDouble()).As<double, T>();
}
