using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Generation;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Models;
using NUnit.Framework;

namespace FastKron.Native.Tests.Generation;

public sealed class KeyValueCacheTests
{
    [Test]
    public void Forward_InPieces_GivesTheLogitsOfWholeSequences([Values] ModelFamily family)
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, RandomModel.Config(family));
        int[][] sequences = [RandomModel.Ids(12, 40, item: 7), RandomModel.Ids(12, 40, item: 8), RandomModel.Ids(12, 40, item: 9)];
        using PackedBatch whole = PackedBatch.Create(backend, model.Config, sequences);
        float[][] expected = Logits(model, whole, cache: null);

        using var cache = new KeyValueCache(model, sequences: 3, capacity: 13);
        var actual = new float[36][];
        int position = 0;
        foreach (int count in (int[])[5, 1, 1, 3, 2])
        {
            int[] ids = [.. sequences.SelectMany(s => s.Skip(position).Take(count))];
            using PackedBatch piece = PackedBatch.Continue(backend, model.Config, cache, ids);
            float[][] rows = Logits(model, piece, cache);
            for (int s = 0; s < 3; s++)
                Array.Copy(rows, s * count, actual, s * 12 + position, count);
            position += count;
        }
        Assert.That(actual, Is.EqualTo(expected).Within(1e-5f));   // other blocking of the same float32 sums, logits of about 1
    }

    [Test]
    public void Continue_MoreThanFits_SaysHowMuchIsThere()
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, RandomModel.Config(ModelFamily.Llama));
        using var cache = new KeyValueCache(model, sequences: 2, capacity: 4);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => PackedBatch.Continue(backend, model.Config, cache, new int[10]),
                Throws.ArgumentException.With.Message.StartsWith("0 cached + 5 new tokens exceed the cache's capacity of 4 tokens (the model's context is 64)"));
            Assert.That(() => PackedBatch.Continue(backend, model.Config, cache, new int[3]), Throws.ArgumentException.With.Message.StartsWith("3 tokens for 2 sequences"));
            Assert.That(() => new KeyValueCache(model, sequences: 1, capacity: 65), Throws.InstanceOf<ArgumentOutOfRangeException>());
        }
    }

    private static float[][] Logits(DecoderModel model, PackedBatch batch, KeyValueCache? cache)
    {
        using Tensor hidden = model.Backend.Allocate(model.Backend.ActivationType, batch.Tokens, model.Config.HiddenSize);
        using Tensor logits = model.Backend.Allocate(DType.F32, batch.Tokens, model.Config.VocabularySize);
        model.Forward(batch, hidden, cache);
        model.Logits(hidden, logits);
        return [.. Enumerable.Range(0, batch.Tokens).Select(t => logits.Row<float>(t).ToArray())];
    }
}
