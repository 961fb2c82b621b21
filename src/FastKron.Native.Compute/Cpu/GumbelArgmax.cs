using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using FastKron.Native.Compute.Reference;

namespace FastKron.Native.Compute.Cpu;

/// <summary>argmax_v z[v] + Gumbel noise of Philox word v: the label of <see cref="LabelSampling"/> at the speed of the random generator.</summary>
/// <remarks>
/// Only tokens that can win get their noise computed, by the scalar definition, so the result is the same for every SIMD width. A token cannot
/// win when an upper bound of its score lies below the best score so far. Bound of a whole batch, before its words are drawn: the largest noise.
/// Bound of a drawn word: −ln(−ln u) ≤ −ln(1 − u) ≤ ln 2 · (127 − bits(1 − u)/2²³), bits being those of the float32, as log2 is concave between
/// powers of two. The search starts from the score of the largest logit, the likely winner. About ten tokens a row survive.
/// </remarks>
internal ref struct GumbelArgmax
{
    private const int Batch = 32;

    /// <summary>More than any noise (16.64).</summary>
    private const float LargestNoise = 16.7f;

    /// <summary>ln 2 / 2²³, and 127 ln 2 plus 0.001: more than all roundings of the bound and of the noise itself.</summary>
    private const float BoundSlope = 8.26295866e-08f;
    private const float BoundOffset = 88.0306918f;

    private readonly ReadOnlySpan<float> _logits;
    private readonly ulong _seed;
    private readonly RandomPurpose _stream;
    private readonly uint _item;
    private float _best;
    private int _label;

    private GumbelArgmax(ReadOnlySpan<float> logits, ulong seed, RandomPurpose stream, uint item)
    {
        _logits = logits;
        (_seed, _stream, _item) = (seed, stream, item);
        (_best, _label) = (float.NegativeInfinity, -1);
    }

    /// <summary>The drawn label; −1 if a logit is NaN or none is above −∞.</summary>
    public static int Draw(ReadOnlySpan<float> logits, ulong seed, RandomPurpose stream, uint item)
    {
        float maximum = TensorPrimitives.Max(logits);
        if (!(maximum > float.NegativeInfinity))
            return -1;
        var search = new GumbelArgmax(logits, seed, stream, item);
        int top = RowSoftmax.FirstIndexOf(logits, maximum);
        search.Try(top, Philox.Word(seed, (ulong)top, stream, item));

        int v = 0;
        if (Vector512.IsHardwareAccelerated && Avx512F.IsSupported)
        {
            for (; v <= logits.Length - Batch; v += Batch)
                search.Search512(v);
        }
        else if (Avx2.IsSupported)
        {
            for (; v <= logits.Length - Batch; v += Batch)
                search.Search256(v);
        }
        for (; v < logits.Length; v += 4)
            search.SearchBlock(v);
        return search._label;
    }

    private void Try(int v, uint word)
    {
        float score = _logits[v] + GumbelNoise.FromWord(word);
        if (score > _best || (score == _best && v < _label))
            (_best, _label) = (score, v);
    }

    /// <summary>Up to four tokens from <paramref name="v"/>, a multiple of four.</summary>
    private void SearchBlock(int v)
    {
        var (x, y, z, w) = Philox.Words(_seed, (ulong)v >> 2, _stream, _item);
        ReadOnlySpan<uint> words = [x, y, z, w];
        for (int i = 0; i < Math.Min(4, _logits.Length - v); i++)
        {
            int bits = BitConverter.SingleToInt32Bits(1f - Philox.Uniform(words[i]));
            if (_logits[v + i] + (BoundOffset - bits * BoundSlope) >= _best)
                Try(v + i, words[i]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Search512(int v)
    {
        Vector512<float> best = Vector512.Create(_best), noise = Vector512.Create(LargestNoise);
        Vector512<float> z0 = Vector512.LoadUnsafe(in _logits[v]), z1 = Vector512.LoadUnsafe(in _logits[v + 16]);
        if (!Vector512.GreaterThanOrEqualAny(Vector512.MaxNative(z0, z1) + noise, best))
            return;
        var (words0, words1) = Words512((ulong)v >> 2);
        TryLanes(v, Vector512.GreaterThanOrEqual(z0 + Bound(words0), best).ExtractMostSignificantBits(), words0);
        TryLanes(v + 16, Vector512.GreaterThanOrEqual(z1 + Bound(words1), best).ExtractMostSignificantBits(), words1);
    }

    private void TryLanes(int v, ulong lanes, Vector512<uint> words)
    {
        for (; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            Try(v + lane, words[lane]);
        }
    }

    /// <summary>An upper bound of the noise of each word.</summary>
    private static Vector512<float> Bound(Vector512<uint> words)
    {
        // 1 − u = (2²³ − ½ − (word >> 9)) · 2⁻²³, exact.
        Vector512<float> complement = (Vector512.Create(8388607.5f) - Vector512.ConvertToSingle((words >>> 9).AsInt32())) * (1f / 8388608f);
        return Vector512.Create(BoundOffset) - Vector512.ConvertToSingle(complement.AsInt32()) * BoundSlope;
    }

    /// <summary>The 32 words of the eight Philox blocks from <paramref name="index"/> on, in order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly (Vector512<uint> First, Vector512<uint> Second) Words512(ulong index)
    {
        // One block in each 64-bit lane, numbers in the lower halves; the multiplication ignores the upper halves, so what collects there is
        // dropped at the end. Lanes take the blocks 0 4 1 5 2 6 3 7, so that unpacking 128-bit quarters leaves the words in order.
        // The index stays below 2³⁰, as v is an int: the second counter word is 0.
        Vector512<ulong> x = Vector512.Create(index) + Vector512.Create(0UL, 4, 1, 5, 2, 6, 3, 7), y = Vector512<ulong>.Zero;
        Vector512<ulong> z = Vector512.Create((ulong)_stream), w = Vector512.Create((ulong)_item);
        uint k0 = (uint)_seed, k1 = (uint)(_seed >> 32);
        for (int round = 0; round < 10; round++)
        {
            Vector512<ulong> p0 = Avx512F.Multiply(x.AsUInt32(), Vector512.Create(0xD2511F53UL).AsUInt32());
            Vector512<ulong> p1 = Avx512F.Multiply(z.AsUInt32(), Vector512.Create(0xCD9E8D57UL).AsUInt32());
            x = (p1 >>> 32) ^ y ^ Vector512.Create((ulong)k0);
            y = p1;
            z = (p0 >>> 32) ^ w ^ Vector512.Create((ulong)k1);
            w = p0;
            k0 += 0x9E3779B9;
            k1 += 0xBB67AE85;
        }
        Vector512<ulong> low = Vector512.Create(0xFFFF_FFFFUL), xy = (x & low) | (y << 32), zw = (z & low) | (w << 32);
        return (Avx512F.UnpackLow(xy, zw).AsUInt32(), Avx512F.UnpackHigh(xy, zw).AsUInt32());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Search256(int v)
    {
        Vector256<float> best = Vector256.Create(_best), noise = Vector256.Create(LargestNoise);
        for (int half = v; half < v + Batch; half += Batch / 2)
        {
            Vector256<float> z0 = Vector256.LoadUnsafe(in _logits[half]), z1 = Vector256.LoadUnsafe(in _logits[half + 8]);
            if (!Vector256.GreaterThanOrEqualAny(Vector256.MaxNative(z0, z1) + noise, best))
                continue;
            var (words0, words1) = Words256((ulong)half >> 2);
            TryLanes(half, Vector256.GreaterThanOrEqual(z0 + Bound(words0), best).ExtractMostSignificantBits(), words0);
            TryLanes(half + 8, Vector256.GreaterThanOrEqual(z1 + Bound(words1), best).ExtractMostSignificantBits(), words1);
        }
    }

    private void TryLanes(int v, uint lanes, Vector256<uint> words)
    {
        for (; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            Try(v + lane, words[lane]);
        }
    }

    private static Vector256<float> Bound(Vector256<uint> words)
    {
        Vector256<float> complement = (Vector256.Create(8388607.5f) - Vector256.ConvertToSingle((words >>> 9).AsInt32())) * (1f / 8388608f);
        return Vector256.Create(BoundOffset) - Vector256.ConvertToSingle(complement.AsInt32()) * BoundSlope;
    }

    /// <summary>As <see cref="Words512"/>, 16 words of four blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly (Vector256<uint> First, Vector256<uint> Second) Words256(ulong index)
    {
        Vector256<ulong> x = Vector256.Create(index) + Vector256.Create(0UL, 2, 1, 3), y = Vector256<ulong>.Zero;
        Vector256<ulong> z = Vector256.Create((ulong)_stream), w = Vector256.Create((ulong)_item);
        uint k0 = (uint)_seed, k1 = (uint)(_seed >> 32);
        for (int round = 0; round < 10; round++)
        {
            Vector256<ulong> p0 = Avx2.Multiply(x.AsUInt32(), Vector256.Create(0xD2511F53UL).AsUInt32());
            Vector256<ulong> p1 = Avx2.Multiply(z.AsUInt32(), Vector256.Create(0xCD9E8D57UL).AsUInt32());
            x = (p1 >>> 32) ^ y ^ Vector256.Create((ulong)k0);
            y = p1;
            z = (p0 >>> 32) ^ w ^ Vector256.Create((ulong)k1);
            w = p0;
            k0 += 0x9E3779B9;
            k1 += 0xBB67AE85;
        }
        Vector256<ulong> low = Vector256.Create(0xFFFF_FFFFUL), xy = (x & low) | (y << 32), zw = (z & low) | (w << 32);
        return (Avx2.UnpackLow(xy, zw).AsUInt32(), Avx2.UnpackHigh(xy, zw).AsUInt32());
    }
}
