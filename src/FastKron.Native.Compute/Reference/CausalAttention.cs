namespace FastKron.Native.Compute.Reference;

/// <summary>Causal grouped-query attention over packed sequences: o = softmax(q Kᵀ/√d) V for each head, over the keys a query may see.</summary>
/// <remarks>
/// Query head h reads key head h / (heads / keyHeads) (arXiv:2305.13245). Every array is row-major and contiguous, heads beside each other in a
/// row. O(queries · keys · heads · d) operations.
/// </remarks>
public static class CausalAttention
{
    /// <summary>output ← attention, logSumExp ← ln Σ exp(scores).</summary>
    /// <param name="q">Shape (T, heads · d).</param>
    /// <param name="k">Shape (keys, keyHeads · d).</param>
    /// <param name="v">Shape (keys, keyHeads · d).</param>
    /// <param name="layout">Heads and sequences.</param>
    /// <param name="output">Shape (T, heads · d). Overwritten.</param>
    /// <param name="logSumExp">Shape (T, heads). Overwritten.</param>
    public static void Forward(
        ReadOnlySpan<double> q, ReadOnlySpan<double> k, ReadOnlySpan<double> v, AttentionLayout layout, Span<double> output, Span<double> logSumExp)
    {
        var (heads, keyHeads, d) = (layout.Heads, layout.KeyHeads, layout.HeadDimension);
        foreach (SequenceSpan sequence in layout.Sequences)
        {
            double[] p = new double[sequence.KeyCount];
            for (int i = 0; i < sequence.QueryCount; i++)
            {
                int visible = sequence.KeyCount - sequence.QueryCount + i + 1;
                for (int head = 0; head < heads; head++)
                {
                    int row = sequence.QueryStart + i, keyHead = head / (heads / keyHeads);
                    ReadOnlySpan<double> query = q.Slice((row * heads + head) * d, d);
                    logSumExp[row * heads + head] = Probabilities(query, k, sequence.KeyStart, keyHead, keyHeads, p.AsSpan(0, visible));
                    Span<double> o = output.Slice((row * heads + head) * d, d);
                    o.Clear();
                    for (int j = 0; j < visible; j++)
                    {
                        ReadOnlySpan<double> value = v.Slice(((sequence.KeyStart + j) * keyHeads + keyHead) * d, d);
                        for (int c = 0; c < d; c++)
                            o[c] += p[j] * value[c];
                    }
                }
            }
        }
    }

    /// <summary>Gradients: with dp_j = do·v_j and δ = Σ p_j dp_j: ds_j = p_j (dp_j − δ)/√d, dq = Σ ds_j k_j, dk_j += ds_j q, dv_j += p_j do.</summary>
    /// <param name="dOutput">do, shape (T, heads · d).</param>
    /// <param name="q">As in <see cref="Forward"/>.</param>
    /// <param name="k">As in <see cref="Forward"/>.</param>
    /// <param name="v">As in <see cref="Forward"/>.</param>
    /// <param name="layout">Heads and sequences.</param>
    /// <param name="dq">Like q. Overwritten.</param>
    /// <param name="dk">Like k. Overwritten; keys of no sequence get 0.</param>
    /// <param name="dv">Like v. Overwritten; keys of no sequence get 0.</param>
    public static void Backward(
        ReadOnlySpan<double> dOutput, ReadOnlySpan<double> q, ReadOnlySpan<double> k, ReadOnlySpan<double> v, AttentionLayout layout,
        Span<double> dq, Span<double> dk, Span<double> dv)
    {
        var (heads, keyHeads, d) = (layout.Heads, layout.KeyHeads, layout.HeadDimension);
        dq.Clear();
        dk.Clear();
        dv.Clear();
        foreach (SequenceSpan sequence in layout.Sequences)
        {
            double[] p = new double[sequence.KeyCount], dp = new double[sequence.KeyCount];
            for (int i = 0; i < sequence.QueryCount; i++)
            {
                int visible = sequence.KeyCount - sequence.QueryCount + i + 1;
                for (int head = 0; head < heads; head++)
                {
                    int query = ((sequence.QueryStart + i) * heads + head) * d, keyHead = head / (heads / keyHeads);
                    Probabilities(q.Slice(query, d), k, sequence.KeyStart, keyHead, keyHeads, p.AsSpan(0, visible));
                    double delta = 0;
                    for (int j = 0; j < visible; j++)
                    {
                        int key = ((sequence.KeyStart + j) * keyHeads + keyHead) * d;
                        dp[j] = Dot(dOutput.Slice(query, d), v.Slice(key, d));
                        delta += p[j] * dp[j];
                    }
                    for (int j = 0; j < visible; j++)
                    {
                        int key = ((sequence.KeyStart + j) * keyHeads + keyHead) * d;
                        double ds = p[j] * (dp[j] - delta) / Math.Sqrt(d);
                        for (int c = 0; c < d; c++)
                        {
                            dq[query + c] += ds * k[key + c];
                            dk[key + c] += ds * q[query + c];
                            dv[key + c] += p[j] * dOutput[query + c];
                        }
                    }
                }
            }
        }
    }

    /// <summary>p ← softmax(q·k_j/√d) over the first p.Length keys of a sequence; returns ln Σ exp(q·k_j/√d).</summary>
    private static double Probabilities(ReadOnlySpan<double> query, ReadOnlySpan<double> k, int keyStart, int keyHead, int keyHeads, Span<double> p)
    {
        int d = query.Length;
        double maximum = double.NegativeInfinity, sum = 0;
        for (int j = 0; j < p.Length; j++)
        {
            p[j] = Dot(query, k.Slice(((keyStart + j) * keyHeads + keyHead) * d, d)) / Math.Sqrt(d);
            maximum = Math.Max(maximum, p[j]);
        }
        foreach (ref double value in p)
            sum += value = Math.Exp(value - maximum);
        foreach (ref double value in p)
            value /= sum;
        return maximum + Math.Log(sum);
    }

    private static double Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++)
            sum += x[i] * y[i];
        return sum;
    }
}
