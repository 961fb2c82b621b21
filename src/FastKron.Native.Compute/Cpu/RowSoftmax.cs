using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Sums over one row of logits: exponentials in float32 of values with the maximum subtracted, sums in float64.</summary>
/// <remarks>A row that holds NaN, or no number above −∞, gives NaN.</remarks>
internal static class RowSoftmax
{
    /// <summary>Σ exp(z − maximum).</summary>
    public static double SumOfExponentials(ReadOnlySpan<float> row, float maximum)
    {
        ReadOnlySpan<Vector<float>> wide = MemoryMarshal.Cast<float, Vector<float>>(row);
        Vector<double> sum = default;
        foreach (Vector<float> z in wide)
            Accumulate(ref sum, Exponential.Of(z - new Vector<float>(maximum)));
        Accumulate(ref sum, Exponential.Of(Tail(row) - new Vector<float>(maximum)));
        return Vector.Sum(sum);
    }

    /// <summary>z ← exp(z − maximum); returns the sum.</summary>
    public static double Exponentials(Span<float> row, float maximum)
    {
        Span<Vector<float>> wide = MemoryMarshal.Cast<float, Vector<float>>(row);
        Vector<double> sum = default;
        foreach (ref Vector<float> z in wide)
        {
            z = Exponential.Of(z - new Vector<float>(maximum));
            Accumulate(ref sum, z);
        }
        Vector<float> tail = Exponential.Of(Tail(row) - new Vector<float>(maximum));
        Accumulate(ref sum, tail);
        for (int i = row.Length - row.Length % Vector<float>.Count, lane = 0; i < row.Length; i++, lane++)
            row[i] = tail[lane];
        return Vector.Sum(sum);
    }

    /// <summary>Both divergences of p = softmax(reference) and q = softmax(candidate), and ln of both sums of exponentials.</summary>
    /// <param name="reference">Logits a.</param>
    /// <param name="candidate">Logits b, as many.</param>
    /// <param name="referenceMaximum">max a.</param>
    /// <param name="candidateMaximum">max b.</param>
    /// <remarks>
    /// With A = a − max a, B = b − max b: KL(p ‖ q) = Σ e^A (A − B) / Σ e^A − ln(Σ e^A / Σ e^B); it is exactly 0 for equal rows,
    /// else within about 3e-8 nats, from the roundings of the exponentials.
    /// </remarks>
    public static RowDivergence Compare(
        ReadOnlySpan<float> reference, ReadOnlySpan<float> candidate, float referenceMaximum, float candidateMaximum)
    {
        ReadOnlySpan<Vector<float>> a = MemoryMarshal.Cast<float, Vector<float>>(reference), b = MemoryMarshal.Cast<float, Vector<float>>(candidate);
        var sums = new DivergenceSums();
        for (int i = 0; i < a.Length; i++)
            sums.Add(a[i] - new Vector<float>(referenceMaximum), b[i] - new Vector<float>(candidateMaximum));
        sums.Add(Tail(reference) - new Vector<float>(referenceMaximum), Tail(candidate) - new Vector<float>(candidateMaximum));
        return sums.Result();
    }

    /// <summary>How many elements exceed <paramref name="bound"/>, or equal it and lie before <paramref name="position"/>.</summary>
    public static int CountAhead(ReadOnlySpan<float> row, float bound, int position)
    {
        Vector<int> counts = default;
        foreach (Vector<float> z in MemoryMarshal.Cast<float, Vector<float>>(row))
            counts -= Vector.GreaterThan(z, new Vector<float>(bound));
        counts -= Vector.GreaterThan(Tail(row), new Vector<float>(bound));
        int count = Vector.Sum(counts);
        for (int start = 0, next; (next = FirstIndexOf(row[start..position], bound)) >= 0; start += next + 1)
            count++;
        return count;
    }

    /// <summary>The lowest index whose element equals <paramref name="value"/>; −1 if there is none.</summary>
    public static int FirstIndexOf(ReadOnlySpan<float> row, float value)
    {
        int i = 0;
        for (; i <= row.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            if (Vector.EqualsAny(new Vector<float>(row[i..]), new Vector<float>(value)))
                break;
        }
        for (; i < row.Length; i++)
        {
            if (row[i] == value)
                return i;
        }
        return -1;
    }

    /// <summary>The elements after the last whole vector, filled up with −∞.</summary>
    private static Vector<float> Tail(ReadOnlySpan<float> row)
    {
        Span<float> lanes = stackalloc float[Vector<float>.Count];
        lanes.Fill(float.NegativeInfinity);
        row[(row.Length - row.Length % lanes.Length)..].CopyTo(lanes);
        return new Vector<float>(lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Accumulate(ref Vector<double> sum, Vector<float> values)
    {
        Vector.Widen(values, out Vector<double> low, out Vector<double> high);
        sum += low + high;
    }

    private struct DivergenceSums
    {
        private Vector<double> _reference, _candidate, _forward, _reverse;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add(Vector<float> a, Vector<float> b)
        {
            Vector<float> p = Exponential.Of(a), q = Exponential.Of(b), difference = a - b;
            Accumulate(ref _reference, p);
            Accumulate(ref _candidate, q);
            Accumulate(ref _forward, Product(p, difference));
            Accumulate(ref _reverse, Product(q, -difference));
        }

        public readonly RowDivergence Result()
        {
            double referenceSum = Vector.Sum(_reference), candidateSum = Vector.Sum(_candidate), logRatio = Math.Log(referenceSum / candidateSum);
            return new RowDivergence(
                Vector.Sum(_forward) / referenceSum - logRatio, Vector.Sum(_reverse) / candidateSum + logRatio,
                Math.Log(referenceSum), Math.Log(candidateSum));
        }

        /// <summary>p · difference, 0 where p is 0 even if the difference is infinite or −∞ − (−∞).</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector<float> Product(Vector<float> p, Vector<float> difference) =>
            Vector.ConditionalSelect(Vector.Equals(p, Vector<float>.Zero), Vector<float>.Zero, p * difference);
    }
}

/// <summary>Divergences of two rows of logits and the logarithms of their sums of exponentials, maxima subtracted.</summary>
internal readonly record struct RowDivergence(double Forward, double Reverse, double ReferenceLogSum, double CandidateLogSum);
