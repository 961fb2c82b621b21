using FastKron.Native.Models;

namespace FastKron.Native.Fisher;

/// <summary>Whole sequences of one minibatch that go through the model together.</summary>
internal sealed class MicroBatch : IDisposable
{
    private MicroBatch(PackedBatch batch, uint firstToken, bool last, int minibatchTokens, int minibatchLabels)
    {
        (Batch, FirstToken, Last, MinibatchTokens, MinibatchLabels) = (batch, firstToken, last, minibatchTokens, minibatchLabels);
    }

    /// <summary>Ids, positions, sequences.</summary>
    public PackedBatch Batch { get; }

    /// <summary>Number of the first token among all calibration tokens.</summary>
    public uint FirstToken { get; }

    /// <summary>Whether the minibatch ends here.</summary>
    public bool Last { get; }

    /// <summary>Tokens of the minibatch.</summary>
    public int MinibatchTokens { get; }

    /// <summary>Tokens of the minibatch that have a successor.</summary>
    public int MinibatchLabels { get; }

    /// <summary>How many tokens there are.</summary>
    /// <exception cref="ArgumentException">No minibatch, or an empty one.</exception>
    public static CollectionSize SizeOf(IReadOnlyList<IReadOnlyList<int[]>> minibatches)
    {
        if (minibatches.Count == 0 || minibatches.Any(m => m.Count == 0))
            throw new ArgumentException("expected at least one minibatch and in each at least one sequence", nameof(minibatches));
        return new CollectionSize(minibatches.Sum(m => m.Sum(s => (long)s.Length)), minibatches.Max(m => m.Max(s => s.Length)));
    }

    /// <summary>Cuts minibatches into pieces of whole sequences with at most <paramref name="tokens"/> tokens (a longer sequence goes
    /// alone).</summary>
    public static List<MicroBatch> Cut(DecoderModel model, IReadOnlyList<IReadOnlyList<int[]>> minibatches, int tokens)
    {
        var pieces = new List<MicroBatch>();
        try
        {
            uint firstToken = 0;
            foreach (IReadOnlyList<int[]> minibatch in minibatches)
            {
                int total = minibatch.Sum(s => s.Length), labels = total - minibatch.Count;
                for (int start = 0; start < minibatch.Count;)
                {
                    int end = start, length = 0;
                    while (end < minibatch.Count && (end == start || length + minibatch[end].Length <= tokens))
                        length += minibatch[end++].Length;
                    PackedBatch batch = PackedBatch.Create(model.Backend, model.Config, [.. minibatch.Skip(start).Take(end - start)]);
                    pieces.Add(new MicroBatch(batch, firstToken, end == minibatch.Count, total, labels));
                    firstToken = checked(firstToken + (uint)length);
                    start = end;
                }
            }
            return pieces;
        }
        catch
        {
            Release(pieces);
            throw;
        }
    }

    /// <summary>Frees some batches.</summary>
    public static void Release(IEnumerable<MicroBatch> batches)
    {
        foreach (MicroBatch batch in batches)
            batch.Dispose();
    }

    /// <summary>Frees the ids.</summary>
    public void Dispose() => Batch.Dispose();
}
