using FastKron.Native.Compute;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Models;

public sealed class DecoderModelTests
{
    // hessians-and-rounding.md section 8, invariant 6: how sequences are packed changes no gradient.
    [Test]
    public void Backward_OtherPacking_GivesTheSameGradients([Values] ModelFamily family)
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, RandomModel.Config(family));
        int[][] sequences = [RandomModel.Ids(9, 40, item: 4), RandomModel.Ids(3, 40, item: 5), RandomModel.Ids(14, 40, item: 6)];
        var packed = new GradientCollector(backend);
        var reversed = new GradientCollector(backend);
        var single = new GradientCollector(backend);
        float[] losses = GradientCollector.Backpropagate(model, sequences, scale: 0.1f, packed);
        GradientCollector.Backpropagate(model, [.. sequences.Reverse()], scale: 0.1f, reversed);
        float[] singleLosses = [.. sequences.SelectMany(s => GradientCollector.Backpropagate(model, [s], scale: 0.1f, single))];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(losses, Is.EqualTo(singleLosses).Within(1e-5f));
            foreach ((string name, float[] expected) in packed.Gradients)
            {
                float tolerance = 1e-5f * Rms(expected) * MathF.Sqrt(26);   // sums of 26 tokens in another order
                Assert.That(single.Gradients[name], Is.EqualTo(expected).Within(tolerance), name);
                Assert.That(reversed.Gradients[name], Is.EqualTo(expected).Within(tolerance), name);
            }
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

    private static float Rms(float[] values) => MathF.Sqrt(values.Sum(v => v * v) / values.Length);
}
