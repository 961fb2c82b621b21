using FastKron.Native.Compute.Cpu;
using FastKron.Native.Evaluation;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;
using NUnit.Framework;

namespace FastKron.Native.Tests.Quantization;

/// <summary>Whole runs on the shipped model and on odd shapes.</summary>
public sealed class QuantizationRunTests
{
    private string _folder = "";

    [SetUp]
    public void SetUp() => _folder = Directory.CreateTempSubdirectory("fastkron-quantization-").FullName;

    [TearDown]
    public void TearDown() => Directory.Delete(_folder, recursive: true);

    // 8 gradients of 1,024 tokens are few, and energy equalisation helps none, too; yet both factors must beat it, and making up for moved inputs must help.
    [Test]
    public async Task QuantizeAsync_TinyLlamaAt2Bits_FactorsBeatNoneAndPropagationBeatsBoth()
    {
        double propagated = await DivergenceAsync("propagated", new FisherOptions { Gradients = 8 });
        double apart = await DivergenceAsync("apart", new FisherOptions { Gradients = 8 }, propagate: 0);
        double without = await DivergenceAsync("none", null);
        TestContext.Out.WriteLine($"propagated {propagated:F3}, apart {apart:F3}, none {without:F3}");
        Assert.That(apart, Is.LessThan(0.95 * without));
        Assert.That(propagated, Is.LessThan(0.9 * apart));
        Assert.That(propagated, Is.GreaterThan(0.05), "2 bits are not free");
    }

    [TestCase(1.5, true)]
    [TestCase(-0.1, true)]
    [TestCase(0.5, false)]
    public void QuantizeAsync_PropagationThatCannotBe_IsRefused(double share, bool withFactors)
    {
        using var backend = new CpuBackend();
        var options = new QuantizationOptions { Model = SharedData.Model("tiny-llama"), Output = Path.Combine(_folder, "x"), Fisher = withFactors ? new FisherOptions() : null, Propagate = share };
        Assert.That(() => QuantizationRun.QuantizeAsync(options, backend, Digest(backend)), Throws.ArgumentException.With.Message.Contains("--propagate"));
        Assert.That(Directory.EnumerateFileSystemEntries(_folder), Is.Empty);
    }

    [Test]
    public async Task QuantizeAsync_Stories260KWithoutItsMlp_KeepsItDenseInTheSkipList()
    {
        string model = SharedData.Path("models/stories260K_hf"), output = Path.Combine(_folder, "stories");
        using var backend = new CpuBackend();
        var options = new QuantizationOptions { Model = model, Output = output, Bits = 4, Skip = ["gate", "up", "down"], Tokens = 2048, Fisher = new FisherOptions { Gradients = 4 } };
        QuantizationReport report = await QuantizationRun.QuantizeAsync(options, backend, Digest(backend));
        using ModelFolder folder = ModelFolder.Open(output);
        Assert.That(report.Linears, Has.Count.EqualTo(4 * folder.Config.Layers));
        Assert.That(folder.Config.Quantization!.SkipList, Does.Contain("0_gate").And.Contain("4_down").And.Not.Contain("0_q"));
        Assert.That(folder.Contains("model.layers.0.mlp.gate_proj.weight") && folder.Contains("model.layers.0.self_attn.q_proj.trellis"), Is.True);
    }

    [Test]
    public void FactorRun_FromTheIdsOfAnother_GivesTheSameFactors()
    {
        using var backend = new CpuBackend();
        QuantizationOptions Options(string output, string calibration) => new()
        {
            Model = SharedData.Model("tiny-qwen3"),
            Output = Path.Combine(_folder, output),
            Calibration = [calibration],
            Skip = ["q", "k", "v", "gate", "up", "down"],
            Tokens = 512,
            Fisher = new FisherOptions { Gradients = 2 },
        };
        QuantizationOptions sampled = Options("sampled", "self:"), loaded = Options("loaded", Path.Combine(_folder, "sampled", "calibration.ids"));
        FactorRun.Execute(sampled, backend);
        FactorRun.Execute(loaded, backend);
        string[] files = [.. Directory.EnumerateFiles(sampled.Output, "*.safetensors").Select(f => Path.GetFileName(f))];
        Assert.That(files, Is.Not.Empty);
        foreach (string file in files)
        {
            using SafetensorsFile expected = SafetensorsFile.Open(Path.Combine(sampled.Output, file)), actual = SafetensorsFile.Open(Path.Combine(loaded.Output, file));
            foreach (SafetensorsTensor tensor in expected.Tensors)
                Assert.That(actual.Bytes(tensor.Name).SequenceEqual(expected.Bytes(tensor.Name)), $"{file} {tensor.Name}");
        }
    }

    [Test]
    public async Task QuantizeAsync_FactorsWithoutTheirTokens_WarnsThatNothingIsPropagated()
    {
        using var backend = new CpuBackend();
        var factors = new QuantizationOptions
        {
            Model = SharedData.Model("tiny-qwen3"),
            Output = Path.Combine(_folder, "factors"),
            Skip = ["q", "k", "v", "gate", "up", "down"],
            Tokens = 512,
            Fisher = new FisherOptions { Gradients = 2 },
        };
        FactorRun.Execute(factors, backend);
        File.Delete(Path.Combine(factors.Output, "calibration.ids"));
        var warnings = new List<string>();
        QuantizationOptions options = factors with { Output = Path.Combine(_folder, "out"), FactorsFrom = factors.Output, Warn = warnings.Add };
        QuantizationReport report = await QuantizationRun.QuantizeAsync(options, backend, Digest(backend));
        Assert.That(warnings, Has.Count.EqualTo(1).And.Some.Contains($"{factors.Output}: found no calibration.ids"));
        Assert.That(report.Linears.Select(l => l.Factors?.HalfSteps), Is.All.EqualTo(6));
        warnings.Clear();
        await QuantizationRun.QuantizeAsync(options with { Output = Path.Combine(_folder, "asked"), Propagate = 0 }, backend, Digest(backend));
        Assert.That(warnings, Is.Empty);
    }

    private async Task<double> DivergenceAsync(string name, FisherOptions? fisher, double? propagate = null)
    {
        using var backend = new CpuBackend();
        string model = SharedData.Model("tiny-llama"), output = Path.Combine(_folder, name);
        var evaluation = new EvaluationOptions { Model = output, Original = model, Texts = ["self:2048"], BlockLength = 256 };
        var options = new QuantizationOptions { Model = model, Output = output, Tokens = 8192, Fisher = fisher, Propagate = propagate };
        QuantizationReport report = await QuantizationRun.QuantizeAsync(options, backend, Digest(backend), evaluation);
        return report.Evaluation!.Texts.Single().Divergence!.Mean;
    }

    private static Func<string, CancellationToken, Task<string>> Digest(CpuBackend backend) => (path, token) => Task.FromResult(ModelDigest.OfFolder(path, backend, token));
}
