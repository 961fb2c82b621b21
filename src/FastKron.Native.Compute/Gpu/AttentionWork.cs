namespace FastKron.Native.Compute.Gpu;

/// <summary>A tile of one sequence, the work of a block for each head: query i of the tile sees key j of it if j ≤ i + <paramref name="Diagonal"/>.</summary>
/// <remarks>Laid out as in kernels/device/attention_work.cuh.</remarks>
/// <param name="QueryRow">First query, row of the batch.</param>
/// <param name="Queries">Number of queries.</param>
/// <param name="KeyRow">First key, row of the keys.</param>
/// <param name="Keys">Number of keys.</param>
/// <param name="Diagonal">Keys of the tile that its first query sees, less one; not negative.</param>
internal readonly record struct AttentionWork(int QueryRow, int Queries, int KeyRow, int Keys, int Diagonal)
{
    /// <summary>Blocks of queries, each with all keys that its last query sees; those with most keys first, so that none is left over at the end.</summary>
    /// <param name="sequences">The sequences.</param>
    /// <param name="block">Largest number of queries.</param>
    public static AttentionWork[] OfQueries(IEnumerable<SequenceSpan> sequences, int block)
    {
        var works = new List<AttentionWork>();
        foreach (SequenceSpan sequence in sequences)
        {
            for (int first = 0; first < sequence.QueryCount; first += block)
            {
                int queries = Math.Min(block, sequence.QueryCount - first), diagonal = sequence.KeyCount - sequence.QueryCount + first;
                works.Add(new(sequence.QueryStart + first, queries, sequence.KeyStart, diagonal + queries, diagonal));
            }
        }
        return [.. works.OrderByDescending(work => work.Keys)];
    }

    /// <summary>Blocks of keys, each with all queries that see its first key; those with most queries first.</summary>
    /// <param name="sequences">The sequences; those without queries have no work.</param>
    /// <param name="block">Largest number of keys.</param>
    public static AttentionWork[] OfKeys(IEnumerable<SequenceSpan> sequences, int block)
    {
        var works = new List<AttentionWork>();
        foreach (SequenceSpan sequence in sequences)
        {
            int before = sequence.KeyCount - sequence.QueryCount;   // keys that every query sees
            for (int first = 0; first < sequence.KeyCount && sequence.QueryCount > 0; first += block)
            {
                int skipped = Math.Max(0, first - before);
                works.Add(new(
                    sequence.QueryStart + skipped, sequence.QueryCount - skipped, sequence.KeyStart + first,
                    Math.Min(block, sequence.KeyCount - first), before + skipped - first));
            }
        }
        return [.. works.OrderByDescending(work => work.Queries)];
    }
}
