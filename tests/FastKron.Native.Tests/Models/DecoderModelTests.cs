using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Formats;
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
    public void Load_WeightsOfAnotherModel_NamesTheTensorAndFreesWhatItLoaded()
    {
        using IBackend backend = Backends.Create("cpu");
        using var temporary = new TemporaryFolder();
        foreach (string file in Directory.GetFiles(SharedData.Model("tiny-llama")))
            File.Copy(file, temporary.File(Path.GetFileName(file)));
        string config = temporary.File("config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"intermediate_size\": 768", "\"intermediate_size\": 704", StringComparison.Ordinal));
        using ModelFolder folder = ModelFolder.Open(temporary.Path);
        long before = HostMemory.OutstandingBytes;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => DecoderModel.Load(folder, backend), Throws.InstanceOf<InvalidDataException>()
                .With.Message.Contains("model.layers.0.mlp.gate_proj.weight").And.Message.Contains("704").And.Message.Contains("768"));
            Assert.That(HostMemory.OutstandingBytes, Is.LessThanOrEqualTo(before));
        }
    }

    private static float Rms(float[] values) => MathF.Sqrt(values.Sum(v => v * v) / values.Length);
}
