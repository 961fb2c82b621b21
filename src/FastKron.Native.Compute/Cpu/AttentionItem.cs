namespace FastKron.Native.Compute.Cpu;

/// <summary>One piece of an attention call: some queries of one sequence, for all query heads that share a key head.</summary>
/// <param name="Sequence">The sequence.</param>
/// <param name="KeyHead">The key head.</param>
/// <param name="FirstQuery">First query, counted within the sequence.</param>
/// <param name="QueryCount">Number of queries.</param>
internal readonly record struct AttentionItem(SequenceSpan Sequence, int KeyHead, int FirstQuery, int QueryCount)
{
    /// <summary>Queries and keys of one tile: its scores take 16 KiB, all operands of a 64-wide head fit the L2 cache.</summary>
    public const int Block = 64;

    /// <summary>First query row of the batch.</summary>
    public int FirstRow => Sequence.QueryStart + FirstQuery;

    /// <summary>Keys that the first query sees, less one: query i of the item sees keys 0 … Diagonal + i of the sequence.</summary>
    public int Diagonal => Sequence.KeyCount - Sequence.QueryCount + FirstQuery;

    /// <summary>Keys that the last query sees.</summary>
    public int VisibleKeys => Diagonal + QueryCount;

    /// <summary>The forward pass: one item for each block of queries and key head. A few queries (decoding) make one item.</summary>
    public static AttentionItem[] OfBlocks(AttentionLayout layout)
    {
        var items = new List<AttentionItem>();
        foreach (SequenceSpan sequence in layout.Sequences)
        {
            for (int first = 0; first < sequence.QueryCount; first += Block)
            {
                for (int keyHead = 0; keyHead < layout.KeyHeads; keyHead++)
                    items.Add(new(sequence, keyHead, first, Math.Min(Block, sequence.QueryCount - first)));
            }
        }
        return [.. items];
    }

    /// <summary>The backward pass: one item for each sequence and key head, so that nobody else adds to its key gradients.</summary>
    public static AttentionItem[] OfSequences(AttentionLayout layout)
    {
        var items = new List<AttentionItem>();
        foreach (SequenceSpan sequence in layout.Sequences)
        {
            for (int keyHead = 0; keyHead < layout.KeyHeads && sequence.QueryCount > 0; keyHead++)
                items.Add(new(sequence, keyHead, 0, sequence.QueryCount));
        }
        return [.. items];
    }

    /// <summary>The queries of this item, one block at a time.</summary>
    public AttentionItem BlockOf(int start) =>
        this with { FirstQuery = FirstQuery + start, QueryCount = Math.Min(Block, QueryCount - start) };
}
