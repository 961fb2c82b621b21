using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public void Attention(Tensor q, Tensor k, Tensor v, AttentionLayout layout, Tensor output, Tensor? logSumExp)
    {
        RequireAttention(q, k, v, layout);
        TensorArguments.RequireHost(output, DType.F32, q.Rows, q.Columns);
        if (logSumExp is not null)
            TensorArguments.RequireHost(logSumExp, DType.F32, q.Rows, layout.Heads);

        AttentionItem[] items = AttentionItem.OfBlocks(layout);
        For(items.Length, i => AttentionForward.Run(items[i], q, k, v, layout, output, logSumExp));
    }

    /// <inheritdoc/>
    public void AttentionBackward(
        Tensor dOutput, Tensor q, Tensor k, Tensor v, Tensor output, Tensor logSumExp, AttentionLayout layout, Tensor dq, Tensor dk, Tensor dv)
    {
        RequireAttention(q, k, v, layout);
        RequireSeparateKeys(layout);
        TensorArguments.RequireHost(dOutput, DType.F32, q.Rows, q.Columns);
        TensorArguments.RequireHost(output, DType.F32, q.Rows, q.Columns);
        TensorArguments.RequireHost(logSumExp, DType.F32, q.Rows, layout.Heads);
        TensorArguments.RequireHost(dq, DType.F32, q.Rows, q.Columns);
        TensorArguments.RequireHost(dk, DType.F32, k.Rows, k.Columns);
        TensorArguments.RequireHost(dv, DType.F32, k.Rows, k.Columns);

        // Keys that no query sees have no gradient.
        Fill(dk, 0);
        Fill(dv, 0);
        var call = new AttentionGradients(dOutput, q, k, v, output, logSumExp, layout, dq, dk, dv);
        AttentionItem[] items = AttentionItem.OfSequences(layout);
        For(items.Length, i => Cpu.AttentionBackward.Run(items[i], call));
    }

    private static void RequireAttention(Tensor q, Tensor k, Tensor v, AttentionLayout layout)
    {
        var (heads, keyHeads, d, sequences) = layout;
        if (keyHeads <= 0 || heads <= 0 || heads % keyHeads != 0 || d <= 0)
        {
            throw new ArgumentException(
                $"layout: expected heads that are a multiple of the key heads, and a head dimension, found {heads}, {keyHeads}, {d}", nameof(layout));
        }
        TensorArguments.RequireHost(q, DType.F32, q.Rows, heads * d);
        TensorArguments.RequireHost(k, DType.F32, k.Rows, keyHeads * d);
        TensorArguments.RequireHost(v, DType.F32, k.Rows, keyHeads * d);
        int row = 0;
        foreach (SequenceSpan sequence in sequences)
        {
            if (sequence.QueryStart != row || sequence.QueryCount < 0 || sequence.KeyStart < 0 || sequence.KeyCount < sequence.QueryCount
                || (long)sequence.KeyStart + sequence.KeyCount > k.Rows)
            {
                throw new ArgumentException(
                    $"layout: expected queries from row {row} on and at least as many keys within {k.Rows} rows, found {sequence}", nameof(layout));
            }
            row += sequence.QueryCount;
        }
        if (row != q.Rows)
            throw new ArgumentException($"layout: expected sequences of together {q.Rows} queries, found {row}", nameof(layout));
    }

    /// <summary>Gradients of a key come from one sequence: two that share it would add to the same row at the same time.</summary>
    private static void RequireSeparateKeys(AttentionLayout layout)
    {
        int end = 0;
        foreach (SequenceSpan sequence in layout.Sequences.OrderBy(sequence => sequence.KeyStart))
        {
            if (sequence.KeyStart < end)
                throw new ArgumentException($"layout: expected sequences with keys of their own, found {sequence} sharing keys before row {end}", nameof(layout));
            end = sequence.KeyStart + sequence.KeyCount;
        }
    }
}
