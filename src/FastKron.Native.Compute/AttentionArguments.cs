using FastKron.Native.Compute.Tensors;
using static FastKron.Native.Compute.Tensors.TensorArguments;

namespace FastKron.Native.Compute;

/// <summary>Checks of the attention operations, the same on every backend; each throws <see cref="ArgumentException"/>.</summary>
internal static class AttentionArguments
{
    /// <summary>Of <see cref="IBackend.Attention"/>.</summary>
    public static void Forward(bool onHost, Tensor q, Tensor k, Tensor v, AttentionLayout layout, Tensor output, Tensor? logSumExp)
    {
        Inputs(onHost, q, k, v, layout);
        Require(output, onHost, q.Type, q.Rows, q.Columns);
        if (logSumExp is not null)
            Require(logSumExp, onHost, DType.F32, q.Rows, layout.Heads);
    }

    /// <summary>Of <see cref="IBackend.AttentionBackward"/>.</summary>
    public static void Backward(
        bool onHost, Tensor dOutput, Tensor q, Tensor k, Tensor v, Tensor output, Tensor logSumExp, AttentionLayout layout, Tensor dq, Tensor dk, Tensor dv)
    {
        Inputs(onHost, q, k, v, layout);
        SeparateKeys(layout);
        Require(dOutput, onHost, q.Type, q.Rows, q.Columns);
        Require(output, onHost, q.Type, q.Rows, q.Columns);
        Require(logSumExp, onHost, DType.F32, q.Rows, layout.Heads);
        Require(dq, onHost, q.Type, q.Rows, q.Columns);
        Require(dk, onHost, q.Type, k.Rows, k.Columns);
        Require(dv, onHost, q.Type, k.Rows, k.Columns);
    }

    private static void Inputs(bool onHost, Tensor q, Tensor k, Tensor v, AttentionLayout layout)
    {
        var (heads, keyHeads, d, sequences) = layout;
        if (keyHeads <= 0 || heads <= 0 || heads % keyHeads != 0 || d <= 0)
        {
            throw new ArgumentException(
                $"layout: expected heads that are a multiple of the key heads, and a head dimension, found {heads}, {keyHeads}, {d}", nameof(layout));
        }
        // On a device, q tells in which of its types the call is computed.
        Require(q, onHost, !onHost && q.Type == DType.BF16 ? DType.BF16 : DType.F32, q.Rows, heads * d);
        Require(k, onHost, q.Type, k.Rows, keyHeads * d);
        Require(v, onHost, q.Type, k.Rows, keyHeads * d);
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
    private static void SeparateKeys(AttentionLayout layout)
    {
        int end = 0;
        foreach (SequenceSpan sequence in layout.Sequences.OrderBy(sequence => sequence.KeyStart))
        {
            if (sequence.KeyStart < end)
            {
                throw new ArgumentException(
                    $"layout: expected sequences with keys of their own, found {sequence} sharing keys before row {end}", nameof(layout));
            }
            end = sequence.KeyStart + sequence.KeyCount;
        }
    }
}
