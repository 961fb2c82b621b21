using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FastKron.Native.Compute.Reference;

namespace FastKron.Native.Compute.Cpu;

/// <summary>argmax_v z[v] + Gumbel noise of Philox word v: the label of <see cref="LabelSampling"/> at the speed of the random generator.</summary>
/// <remarks>
/// Only tokens that can win get their noise computed, by the scalar definition, so the result is the same for every SIMD width. A token cannot
/// win when an upper bound of its score lies below the best score so far. Bound before words are drawn: the largest noise. Bound of a drawn word:
/// −ln(−ln u) ≤ −ln(1 − u) ≤ ln 2 · (127 − bits(1 − u)/2²³), bits being those of the float32, as log2 is concave between powers of two. The
/// search starts from the score of the largest logit, the likely winner. About ten tokens a row survive.
/// </remarks>
internal struct GumbelArgmax
{
    private const int Batch = PhiloxBlocks.Words;

    /// <summary>More than any noise (16.64).</summary>
    private const float LargestNoise = 16.7f;

    /// <summary>ln 2 / 2²³, and 127 ln 2 plus 0.001: more than all roundings of the bound and of the noise itself.</summary>
    private const float BoundSlope = 8.26295866e-08f;
    private const float BoundOffset = 88.0306918f;

    private float _best;
    private int _label;

    /// <summary>The drawn label; −1 if a logit is NaN or none is above −∞.</summary>
    public static int Draw(ReadOnlySpan<float> logits, ulong seed, RandomPurpose stream, uint item)
    {
        float maximum = TensorPrimitives.Max(logits);
        if (!(maximum > float.NegativeInfinity))
            return -1;
        int top = RowSoftmax.FirstIndexOf(logits, maximum);
        var search = new GumbelArgmax { _best = maximum + GumbelNoise.FromWord(Philox.Word(seed, (ulong)top, stream, item)), _label = top };

        var random = new PhiloxBlocks(seed, stream, item, stackalloc ulong[PhiloxBlocks.KeyCount]);
        Span<uint> words = stackalloc uint[Batch];
        int start = 0;
        for (; start <= logits.Length - Batch; start += Batch)
            search.Search(logits.Slice(start, Batch), start, random, words);
        if (start < logits.Length)
        {
            Span<float> tail = stackalloc float[Batch];
            tail.Fill(float.NegativeInfinity);
            logits[start..].CopyTo(tail);
            search.Search(tail, start, random, words);
        }
        return search._label;
    }

    /// <summary>An upper bound of <see cref="GumbelNoise.FromWord"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector<float> Bound(Vector<uint> words)
    {
        // 1 − u = (2²³ − ½ − (word >> 9)) · 2⁻²³, exact.
        Vector<float> complement = (new Vector<float>(8388607.5f) - Vector.ConvertToSingle(Vector.AsVectorInt32(words >>> 9))) * (1f / 8388608f);
        return new Vector<float>(BoundOffset) - Vector.ConvertToSingle(Vector.AsVectorInt32(complement)) * BoundSlope;
    }

    private void Search(ReadOnlySpan<float> logits, int start, PhiloxBlocks random, Span<uint> words)
    {
        ReadOnlySpan<Vector<float>> z = MemoryMarshal.Cast<float, Vector<float>>(logits);
        Vector<float> largest = z[0];
        for (int i = 1; i < z.Length; i++)
            largest = Vector.MaxNative(largest, z[i]);
        if (!Vector.GreaterThanOrEqualAny(largest + new Vector<float>(LargestNoise), new Vector<float>(_best)))
            return;
        random.Fill(start, words);
        ReadOnlySpan<Vector<uint>> w = MemoryMarshal.Cast<uint, Vector<uint>>(words);
        for (int i = 0; i < z.Length; i++)
        {
            if (Vector.GreaterThanOrEqualAny(z[i] + Bound(w[i]), new Vector<float>(_best)))
                TryLanes(logits, words, i * Vector<float>.Count, start);
        }
    }

    private void TryLanes(ReadOnlySpan<float> logits, ReadOnlySpan<uint> words, int first, int start)
    {
        for (int i = first; i < first + Vector<float>.Count; i++)
        {
            int complement = BitConverter.SingleToInt32Bits(1f - Philox.Uniform(words[i]));
            if (logits[i] + (BoundOffset - complement * BoundSlope) < _best)
                continue;
            float score = logits[i] + GumbelNoise.FromWord(words[i]);
            if (score > _best || (score == _best && start + i < _label))
                (_best, _label) = (score, start + i);
        }
    }
}
