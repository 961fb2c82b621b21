using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Generation;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Models;

public sealed class PackedBatchTests
{
    [Test]
    public void Create_SeveralSequences_LaysThemBehindEachOther()
    {
        using IBackend backend = Backends.Create("cpu");
        using PackedBatch batch = PackedBatch.Create(backend, RandomModel.Config(ModelFamily.Llama), [[3, 4, 5], [6], [7, 8]]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Values(batch.Ids), Is.EqualTo([3, 4, 5, 6, 7, 8]));
            Assert.That(Values(batch.Positions), Is.EqualTo([0, 1, 2, 0, 0, 1]));
            Assert.That(Values(batch.NextTokens), Is.EqualTo([4, 5, -1, -1, 8, -1]));
            Assert.That((batch.Tokens, batch.PositionCount, batch.LabelCount), Is.EqualTo((6, 3, 3)));
            Assert.That(batch.Layout.Sequences, Is.EqualTo([new SequenceSpan(0, 3, 0, 3), new SequenceSpan(3, 1, 3, 1), new SequenceSpan(4, 2, 4, 2)]));
        }
    }

    [Test]
    public void Continue_CachedTokens_CountsPositionsOn()
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, RandomModel.Config(ModelFamily.Llama));
        using var cache = new KeyValueCache(model, sequences: 2, capacity: 10);
        using Tensor hidden = backend.Allocate(DType.F32, 6, model.Config.HiddenSize);
        using (PackedBatch prompt = PackedBatch.Continue(backend, model.Config, cache, [1, 2, 3, 4, 5, 6]))
            model.Forward(prompt, hidden, cache);
        using PackedBatch batch = PackedBatch.Continue(backend, model.Config, cache, [7, 8, 9, 10]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Values(batch.Positions), Is.EqualTo([3, 4, 3, 4]));
            Assert.That(Values(batch.NextTokens), Is.EqualTo([8, -1, 10, -1]));
            Assert.That(batch.Layout.Sequences, Is.EqualTo([new SequenceSpan(0, 2, 0, 5), new SequenceSpan(2, 2, 10, 5)]));
        }
    }

    [Test]
    public void CreateShared_GroupsThatBeginAlike_HoldsTheirBeginningOnce()
    {
        using IBackend backend = Backends.Create("cpu");
        using PackedBatch batch = PackedBatch.CreateShared(
            backend, RandomModel.Config(ModelFamily.Llama), [[[1, 2, 3, 4], [1, 2, 5], [1, 2]], [[7, 8]]], out IReadOnlyList<SharedRows> rows);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Values(batch.Ids), Is.EqualTo([1, 2, 3, 4, 5, 7, 8]));
            Assert.That(Values(batch.Positions), Is.EqualTo([0, 1, 2, 3, 2, 0, 1]));
            Assert.That(Values(batch.KeyRows!), Is.EqualTo([0, 1, 2, 3, 0, 1, 4, 5, 6]));
            Assert.That(batch.Layout.Sequences, Is.EqualTo([new SequenceSpan(0, 4, 0, 4), new SequenceSpan(4, 1, 4, 3), new SequenceSpan(5, 2, 7, 2)]));
            Assert.That((int[])[rows[0][3], rows[1][2], rows[2][1], rows[3][1]], Is.EqualTo([3, 4, 1, 6]), "rows of the sequences' last tokens");
        }
    }

    [TestCase(ModelFamily.Llama)]
    [TestCase(ModelFamily.Qwen3)]
    public void CreateShared_ForwardPass_GivesTheHiddenStatesOfWholeSequences(ModelFamily family)
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, RandomModel.Config(family));
        int[] context = RandomModel.Ids(9, 40, item: 1), other = RandomModel.Ids(5, 40, item: 2);
        int[][][] groups = [[[.. context, 3, 4, 5], [.. context, 6], context], [other], [[.. other, 1, 2], [.. other, 2, 1]]];
        using PackedBatch whole = PackedBatch.Create(backend, model.Config, [.. groups.SelectMany(g => g)]);
        using PackedBatch shared = PackedBatch.CreateShared(backend, model.Config, groups, out IReadOnlyList<SharedRows> rows);
        using Tensor expected = Forward(model, whole), actual = Forward(model, shared);
        Assert.That(shared.Tokens, Is.EqualTo(9 + 3 + 1 + 5 + 5 + 2 + 2));
        int row = 0, sequence = 0;
        foreach (int[] ids in groups.SelectMany(g => g))
        {
            for (int position = 0; position < ids.Length; position++, row++)
                Assert.That(actual.Row<float>(rows[sequence][position]).ToArray(), Is.EqualTo(expected.Row<float>(row).ToArray()).Within(1e-5f));   // float32 sums of values near 1
            sequence++;
        }
    }

    [Test]
    public void Create_EmptyOrTooLongSequenceOrForeignId_NamesIt()
    {
        using IBackend backend = Backends.Create("cpu");
        ModelConfig config = RandomModel.Config(ModelFamily.Llama);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => PackedBatch.Create(backend, config, [[1], []]), Throws.ArgumentException.With.Message.StartsWith("sequence 1: 0 tokens, expected 1 to 64"));
            Assert.That(() => PackedBatch.Create(backend, config, [new int[65]]), Throws.ArgumentException.With.Message.StartsWith("sequence 0: 65 tokens"));
            Assert.That(() => PackedBatch.Create(backend, config, [[1, 40]]), Throws.ArgumentException.With.Message.StartsWith("token 1: id 40, expected 0 to 39"));
            Assert.That(() => PackedBatch.Create(backend, config, [[-1]]), Throws.ArgumentException.With.Message.StartsWith("token 0: id -1"));
        }
    }

    private static Tensor Forward(DecoderModel model, PackedBatch batch)
    {
        Tensor hidden = model.Backend.Allocate(DType.F32, batch.Tokens, model.Config.HiddenSize);
        model.Forward(batch, hidden);
        return hidden;
    }

    private static int[] Values(Tensor row) => row.AsSpan<int>().ToArray();
}
