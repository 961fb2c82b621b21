using FastKron.Native.Compute;
using FastKron.Native.Compute.Gpu;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Gpu;

public sealed class AttentionWorkTests
{
    private static IEnumerable<SequenceSpan[]> Batches =>
    [
        [new(0, 1, 0, 1)],
        [new(0, 300, 0, 300)],
        [new(0, 129, 2, 129), new(129, 1, 131, 128), new(130, 0, 259, 5), new(130, 17, 264, 200)],
        [new(0, 100, 0, 164), new(100, 64, 164, 64)],
    ];

    [Test]
    public void OfQueries_AnyBatch_CoversEveryVisiblePairOnce([ValueSource(nameof(Batches))] SequenceSpan[] sequences, [Values(4, 128)] int block)
    {
        AttentionWork[] works = AttentionWork.OfQueries(sequences, block);
        Assert.That(Pairs(works), Is.EquivalentTo(Pairs(sequences)));
        Assert.That(works, Has.All.Matches<AttentionWork>(work => work.Queries > 0 && work.Queries <= block && work.Diagonal >= 0));
        Assert.That(works.Select(work => work.Keys), Is.Ordered.Descending);
        // The kernels hide what lies past a tile by its diagonal alone.
        Assert.That(works, Has.All.Matches<AttentionWork>(work => work.Keys == work.Diagonal + work.Queries));
    }

    [Test]
    public void OfKeys_AnyBatch_CoversEveryVisiblePairOnce([ValueSource(nameof(Batches))] SequenceSpan[] sequences, [Values(4, 128)] int block)
    {
        AttentionWork[] works = AttentionWork.OfKeys(sequences, block);
        Assert.That(Pairs(works), Is.EquivalentTo(Pairs(sequences)));
        Assert.That(works, Has.All.Matches<AttentionWork>(work => work.Queries > 0 && work.Keys > 0 && work.Keys <= block && work.Diagonal >= 0));
        Assert.That(works.Select(work => work.Queries), Is.Ordered.Descending);
    }

    [Test]
    public void OfKeys_SequenceWithoutQueries_HasNoWork() => Assert.That(AttentionWork.OfKeys([new(0, 0, 3, 9)], 4), Is.Empty);

    private static IEnumerable<long> Pairs(IEnumerable<AttentionWork> works) =>
        from work in works
        from query in Enumerable.Range(0, work.Queries)
        from key in Enumerable.Range(0, work.Keys)
        where key <= query + work.Diagonal
        select Pair(work.QueryRow + query, work.KeyRow + key);

    private static IEnumerable<long> Pairs(SequenceSpan[] sequences) =>
        from sequence in sequences
        from query in Enumerable.Range(0, sequence.QueryCount)
        from key in Enumerable.Range(0, sequence.KeyCount - sequence.QueryCount + query + 1)
        select Pair(sequence.QueryStart + query, sequence.KeyStart + key);

    private static long Pair(int query, int key) => ((long)query << 32) | (uint)key;
}
