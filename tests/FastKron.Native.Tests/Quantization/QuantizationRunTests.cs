using FastKron.Native.Calibration;
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

    // Found at the end, a text that is too short would cost the hours before it.
    [Test]
    public void QuantizeAsync_TextTooShortToMeasure_IsRefusedBeforeAnyWork()
    {
        string text = Path.Combine(_folder, "short.txt");
        File.WriteAllText(text, "Hello.");
        using var backend = new CpuBackend();
        var options = new QuantizationOptions { Model = SharedData.Model("tiny-llama"), Output = Path.Combine(_folder, "x") };
        var evaluation = new EvaluationOptions { Model = options.Output, Original = options.Model, Texts = [text], BlockLength = 64 };
        Assert.That(() => QuantizationRun.QuantizeAsync(options, backend, Digest(backend), evaluation), Throws.TypeOf<InvalidDataException>().With.Message.Contains("less than one block of 64"));
        Assert.That(Directory.EnumerateDirectories(_folder), Is.Empty);
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

    // The factors are in their place, and only the run directory is left over.
    [Test]
    public void FactorRun_KilledAfterPublishing_OnlyDeletesTheRunDirectory()
    {
        using var backend = new CpuBackend();
        var options = new QuantizationOptions { Model = SharedData.Model("tiny-qwen3"), Output = Path.Combine(_folder, "factors"), Tokens = 512, Fisher = new FisherOptions { Gradients = 2 } };
        using (RunDirectory run = RunDirectory.Open(options.Output + ".run", JobFingerprint.Compute(options, backend)))
        {
            File.WriteAllText(run.ArtefactPath("factors/a"), "1");
            run.Finish("factors/a");
            run.Publish(Path.Combine(run.Path, "factors"), options.Output);
        }
        Assert.That(FactorRun.Execute(options, backend), Is.Empty);
        Assert.That(Directory.EnumerateFileSystemEntries(_folder), Is.EqualTo(new[] { options.Output }));
        Assert.That(() => FactorRun.Execute(options, backend), Throws.TypeOf<InvalidDataException>().With.Message.Contains("exists already"));
        Assert.That(Directory.EnumerateFileSystemEntries(_folder), Is.EqualTo(new[] { options.Output }));
    }

    // The seed of a run is that of its labels, whatever the factors' own options say.
    [Test]
    public void FactorRun_SeedOfTheRun_IsThatOfTheLabels()
    {
        using var backend = new CpuBackend();
        string ids = Path.Combine(_folder, "calibration.ids");
        CalibrationSet.Create([.. Enumerable.Range(0, 8).Select(i => Enumerable.Range(10 * i + 3, 32).ToArray())], "test", 8).Save(ids);
        byte[] Factors(string name, ulong seed, ulong fisherSeed)
        {
            var options = new QuantizationOptions
            {
                Model = SharedData.Model("tiny-qwen3"),
                Output = Path.Combine(_folder, name),
                Calibration = [ids],
                Skip = ["q", "k", "v", "o", "gate", "up", "0_down", "1_down", "2_down"],
                Seed = seed,
                Fisher = new FisherOptions { Gradients = 2, Seed = fisherSeed },
            };
            FactorRun.Execute(options, backend);
            using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(options.Output, FactorFile.NameOf(BlockLinear.Down.ModulePath(3))));
            return file.Bytes("hout").ToArray();
        }
        byte[] expected = Factors("expected", seed: 5, fisherSeed: 5);
        Assert.That(Factors("actual", seed: 5, fisherSeed: 0), Is.EqualTo(expected));
        Assert.That(Factors("other", seed: 6, fisherSeed: 5), Is.Not.EqualTo(expected));
    }

    // Before the model is loaded.
    [Test]
    public void FactorRun_OptionsThatFailLate_AreRefusedAtOnce()
    {
        using var backend = new CpuBackend();
        QuantizationOptions options = new() { Model = SharedData.Model("tiny-qwen3"), Output = Path.Combine(_folder, "x"), Tokens = 512 };
        Assert.Multiple(() =>
        {
            Assert.That(() => FactorRun.Execute(options with { Fisher = new FisherOptions { Source = FactorSource.SketchA, Passes = 1 } }, backend), Throws.ArgumentException.With.Message.Contains("sketch-a"));
            Assert.That(() => FactorRun.Execute(options with { Fisher = new FisherOptions { Gradients = 513 } }, backend), Throws.ArgumentException.With.Message.Contains("--gradients 513 of --tokens 512"));
            Assert.That(() => QuantizationRun.QuantizeAsync(options with { RelativeScale = 0 }, backend, Digest(backend)), Throws.ArgumentException.With.Message.Contains("relative scale 0"));
        });
        Assert.That(Directory.EnumerateFileSystemEntries(_folder), Is.Empty);
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
