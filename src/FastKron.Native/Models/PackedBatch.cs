using System.Runtime.InteropServices;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Generation;

namespace FastKron.Native.Models;

/// <summary>Some token sequences behind each other, without padding: ids, positions, and the attention layout.</summary>
public sealed class PackedBatch : IDisposable
{
    private PackedBatch(int tokens, int positionCount, Tensor ids, Tensor positions, Tensor nextTokens, Tensor? keyRows, AttentionLayout layout)
    {
        (Tokens, PositionCount, Layout) = (tokens, positionCount, layout);
        (Ids, Positions, NextTokens, KeyRows) = (ids, positions, nextTokens, keyRows);
    }

    /// <summary>T, tokens of all sequences.</summary>
    public int Tokens { get; }

    /// <summary>Largest position + 1.</summary>
    public int PositionCount { get; }

    /// <summary>(1, T) I32.</summary>
    public Tensor Ids { get; }

    /// <summary>(1, T) I32.</summary>
    public Tensor Positions { get; }

    /// <summary>(1, T) I32: the true labels, each token's successor in its sequence; −1 at every sequence's last token.</summary>
    public Tensor NextTokens { get; }

    /// <summary>(1, keys) I32: the batch row of each key row of <see cref="Layout"/>, where sequences share tokens; null where keys lie as the batch's rows do.</summary>
    public Tensor? KeyRows { get; }

    /// <summary>Row ranges of the sequences.</summary>
    public AttentionLayout Layout { get; }

    /// <summary>Tokens that have a successor: the number of labels ≥ 0 in <see cref="NextTokens"/>.</summary>
    public int LabelCount => Tokens - Layout.Sequences.Count;

    /// <summary>Packs whole sequences for a model's head shape; positions start at 0 in each.</summary>
    /// <exception cref="ArgumentException">A sequence is empty or longer than the model's context, or an id is outside the vocabulary.</exception>
    public static PackedBatch Create(IBackend backend, ModelConfig config, IReadOnlyList<int[]> sequences)
    {
        int tokens = sequences.Sum(s => s.Length), row = 0;
        int[] ids = new int[tokens];
        var spans = new SequenceSpan[sequences.Count];
        for (int s = 0; s < spans.Length; s++)
        {
            int length = sequences[s].Length;
            if (length == 0 || length > config.MaxPositions)
                throw BadLength(s, length, config);
            sequences[s].CopyTo(ids, row);
            spans[s] = new SequenceSpan(row, length, row, length);
            row += length;
        }
        return Create(backend, config, ids, spans, keyRows: null);
    }

    /// <summary>Packs groups of whole sequences: the tokens with which all sequences of a group begin are there, and are computed, once. Forward passes only.</summary>
    /// <param name="backend">Where the batch is.</param>
    /// <param name="config">Head shape and context of the model.</param>
    /// <param name="groups">Groups of sequences; a sequence that shares nothing is a group of its own.</param>
    /// <param name="rows">Where the tokens of each sequence are, group after group.</param>
    /// <exception cref="ArgumentException">As <see cref="Create(IBackend, ModelConfig, IReadOnlyList{int[]})"/>.</exception>
    public static PackedBatch CreateShared(
        IBackend backend, ModelConfig config, IReadOnlyList<IReadOnlyList<int[]>> groups, out IReadOnlyList<SharedRows> rows)
    {
        List<int> ids = [], keyRows = [];
        List<SequenceSpan> spans = [];
        List<SharedRows> places = [];
        foreach (IReadOnlyList<int[]> group in groups)
        {
            int shared = SharedLength(group), first = ids.Count;
            ids.AddRange(group[0].AsSpan(0, shared));
            for (int s = 0; s < group.Count; s++)
            {
                int[] sequence = group[s];
                if (sequence.Length == 0 || sequence.Length > config.MaxPositions)
                    throw BadLength(places.Count, sequence.Length, config);
                int start = ids.Count, own = sequence.Length - shared;
                places.Add(new SharedRows(first, shared, start));
                ids.AddRange(sequence.AsSpan(shared));
                // The first sequence's queries include the shared tokens; the others bring only their own, and see the shared keys before them.
                int queries = s == 0 ? sequence.Length : own;
                if (queries == 0)
                    continue;
                spans.Add(new SequenceSpan(ids.Count - queries, queries, keyRows.Count, sequence.Length));
                keyRows.AddRange(Enumerable.Range(first, shared));
                keyRows.AddRange(Enumerable.Range(start, own));
            }
        }
        rows = places;
        return Create(backend, config, CollectionsMarshal.AsSpan(ids), [.. spans], keyRows.Count == ids.Count ? null : CollectionsMarshal.AsSpan(keyRows));
    }

    /// <summary>Packs the next tokens of every sequence in a cache: as many for each, the first sequence's first.</summary>
    /// <exception cref="ArgumentException">No multiple of the cache's sequences, more tokens than its capacity leaves, or an id outside the vocabulary.</exception>
    public static PackedBatch Continue(IBackend backend, ModelConfig config, KeyValueCache cache, ReadOnlySpan<int> ids)
    {
        int count = ids.Length / cache.Sequences;
        if (count == 0 || count * cache.Sequences != ids.Length)
            throw new ArgumentException($"{ids.Length} tokens for {cache.Sequences} sequences in lockstep: expected the same number for each", nameof(ids));
        if (count > cache.Capacity - cache.Length)
        {
            throw new ArgumentException($"{cache.Length} cached + {count} new tokens exceed the cache's capacity of {cache.Capacity} tokens "
                + $"(the model's context is {config.MaxPositions}); shorten the prompt or generate less", nameof(ids));
        }
        var spans = new SequenceSpan[cache.Sequences];
        for (int s = 0; s < spans.Length; s++)
            spans[s] = new SequenceSpan(s * count, count, s * cache.Capacity, cache.Length + count);
        return Create(backend, config, ids, spans, keyRows: null);
    }

    /// <summary>Frees ids, positions, labels and key rows.</summary>
    public void Dispose()
    {
        Ids.Dispose();
        Positions.Dispose();
        NextTokens.Dispose();
        KeyRows?.Dispose();
    }

    // Tokens with which all sequences of a group begin.
    private static int SharedLength(IReadOnlyList<int[]> group)
    {
        int shared = group[0].Length;
        foreach (int[] sequence in group.Skip(1))
            shared = group[0].AsSpan(0, shared).CommonPrefixLength(sequence);
        return shared;
    }

    private static ArgumentException BadLength(int sequence, int length, ModelConfig config)
        => new($"sequence {sequence}: {length} tokens, expected 1 to {config.MaxPositions} (the model's context); cut it");

    private static PackedBatch Create(IBackend backend, ModelConfig config, ReadOnlySpan<int> ids, SequenceSpan[] spans, ReadOnlySpan<int> keyRows)
    {
        int bad = ids.IndexOfAnyExceptInRange(0, config.VocabularySize - 1);
        if (bad >= 0)
            throw new ArgumentException($"token {bad}: id {ids[bad]}, expected 0 to {config.VocabularySize - 1}; tokenizer and model do not belong together", nameof(ids));
        int[] positions = new int[ids.Length], nextTokens = new int[ids.Length];
        int positionCount = 0;
        foreach (SequenceSpan span in spans)
        {
            for (int i = 0; i < span.QueryCount; i++)
            {
                int row = span.QueryStart + i;
                positions[row] = span.KeyCount - span.QueryCount + i;
                nextTokens[row] = i + 1 < span.QueryCount ? ids[row + 1] : -1;
            }
            positionCount = Math.Max(positionCount, span.KeyCount);
        }
        return new PackedBatch(ids.Length, positionCount, Row(backend, ids), Row(backend, positions), Row(backend, nextTokens),
            keyRows.IsEmpty ? null : Row(backend, keyRows), new AttentionLayout(config.Heads, config.KeyHeads, config.HeadDimension, spans));
    }

    private static Tensor Row(IBackend backend, ReadOnlySpan<int> values)
    {
        Tensor row = backend.Allocate(DType.I32, 1, values.Length);
        backend.Upload(values, row);
        return row;
    }
}
