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

    private static int[] Values(Tensor row) => row.AsSpan<int>().ToArray();
}
