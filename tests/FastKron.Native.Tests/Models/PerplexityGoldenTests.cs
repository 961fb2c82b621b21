using System.Runtime.InteropServices;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Models;

public sealed class PerplexityGoldenTests
{
    // golden.json: windows of 512 ids, the first given, 511 scored; llama2.c in float32 found 4.662486 (the issue allows 0.0005).
    [Test]
    public void Losses_TinyStories_GiveThePerplexityOfLlama2C()
    {
        const int Context = 512, WindowsPerBatch = 16;
        int[] ids = [.. MemoryMarshal.Cast<byte, ushort>(File.ReadAllBytes(SharedData.Path("models/stories260K_hf/tinystories_ids.u16.bin"))).ToArray().Select(id => (int)id)];
        using IBackend backend = Backends.Create("cpu");
        using ModelFolder folder = ModelFolder.Open(SharedData.Path("models/stories260K_hf"));
        using DecoderModel model = DecoderModel.Load(folder, backend);
        double sum = 0;
        int count = 0;
        foreach (int[][] windows in ids.Chunk(Context).Where(w => w.Length == Context).Chunk(WindowsPerBatch))
        {
            using PackedBatch batch = PackedBatch.Create(backend, model.Config, windows);
            using Tensor hidden = backend.Allocate(backend.ActivationType, batch.Tokens, model.Config.HiddenSize);
            using Tensor losses = backend.Allocate(DType.F32, 1, batch.Tokens);
            float[] values = new float[batch.Tokens];
            model.Forward(batch, hidden);
            LossGradient.Losses(model, hidden, batch.NextTokens, losses);
            backend.Download<float>(losses, values);
            sum += values.Sum(l => (double)l);
            count += batch.LabelCount;
        }
        Assert.That(Math.Exp(sum / count), Is.EqualTo(4.66249).Within(0.0005));
    }
}
