using FastKron.Native.Compute.Cpu;
using FastKron.Native.Formats;
using FastKron.Native.Quantization;
using FastKron.Native.Tests.Models;
using NUnit.Framework;

namespace FastKron.Native.Tests.Quantization;

public sealed class ModelDigestTests
{
    // More than the million numbers that are digested at a time, and a last piece of other size.
    private const int Rows = 1088, Columns = 1024;

    [Test]
    public void Add_AnyChange_ChangesTheDigest()
    {
        QuantizedWeights weights = RandomModel.Weights(Rows, Columns, bits: 2);
        float[] last = [.. weights.OutputScale];
        last[^1] *= 1.5f;
        string expected = Digest(weights);
        Assert.That(Digest(weights), Is.EqualTo(expected));
        Assert.That(Digest(weights with { OutputScale = last }), Is.Not.EqualTo(expected), "the last row");
        Assert.That(Digest(weights with { Name = "other" }), Is.Not.EqualTo(expected));
        Assert.That(Digest(weights, CheckpointFormat.Dense), Is.Not.EqualTo(expected), "rounded to bf16");
    }

    private static string Digest(QuantizedWeights weights, CheckpointFormat format = CheckpointFormat.Qtip)
    {
        using var backend = new CpuBackend();
        using var digest = new ModelDigest(backend, format);
        digest.Add(weights);
        return digest.Finish();
    }
}
