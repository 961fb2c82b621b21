using FastKron.Native.Benchmarking;
using FastKron.Native.Calibration;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.TestModels;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.TestModels;

public sealed class TestModelWriterTests
{
    // The families' wiring at a size that takes a blink.
    private static readonly TestModelPreset[] Small =
    [
        new("small-llama", "llama", 300, 64, 96, 3, 4, 2, 16, 128, 10000, 1e-5, false, 1, 2),
        new("small-qwen3", "qwen3", 300, 64, 96, 2, 4, 2, 32, 128, 1000000, 1e-6, true, 1, 2),
    ];

    [TestCaseSource(nameof(Small))]
    public void Write_SmallPreset_LoadsWithTheRightScales(TestModelPreset preset)
    {
        using var temporary = new TemporaryFolder();
        string output = Path.Combine(temporary.Path, "model");
        TestModelWriter.Write(preset, output, seed: 3, calibrationTokens: 5000, CancellationToken.None);
        using ModelFolder folder = ModelFolder.Open(output);
        Assert.That(folder.Config.TiedHead, Is.EqualTo(preset.TiedHead));
        using var backend = new CpuBackend();
        using Tensor up = folder.Load(backend, "model.layers.1.mlp.up_proj.weight", 96, 64, DType.F32);
        double deviation = Math.Sqrt(backend.Dot(up, up) / up.Length);
        Assert.That(deviation, Is.EqualTo(1 / 8.0).Within(0.005), "6,144 draws: a standard error of 0.0011");
        using Tensor norm = folder.Load(backend, "model.norm.weight", 1, 64, DType.F32);
        Assert.That(norm.AsSpan<float>().ToArray(), Has.All.InRange(0.4f, 12f));
        CalibrationSet ids = CalibrationSet.Load(Path.Combine(output, "calibration.ids"));
        Assert.That(ids.Tokens, Is.EqualTo(5000));
        Assert.That(ids.Sequences.SelectMany(s => s), Has.All.InRange(0, preset.Vocabulary - 1));
        Assert.That(() => TestModelWriter.Write(preset, output, 3, 10, CancellationToken.None), Throws.TypeOf<InvalidDataException>());
    }

    [Test]
    public void Write_SameSeed_GivesTheSameBytes()
    {
        using var temporary = new TemporaryFolder();
        string[] outputs = [Path.Combine(temporary.Path, "a"), Path.Combine(temporary.Path, "b"), Path.Combine(temporary.Path, "c")];
        for (int i = 0; i < outputs.Length; i++)
            TestModelWriter.Write(Small[0], outputs[i], seed: i == 2 ? 1UL : 0UL, calibrationTokens: 100, CancellationToken.None);
        byte[][] shards = [.. outputs.Select(o => File.ReadAllBytes(Path.Combine(o, "model-00002-of-00004.safetensors")))];
        Assert.That(shards[1], Is.EqualTo(shards[0]));
        Assert.That(shards[2], Is.Not.EqualTo(shards[0]));
    }

    // Parameters as the model cards give them, to a hundredth.
    [TestCase("smollm2-135m", 0.13)]
    [TestCase("llama-2-7b", 6.74)]
    [TestCase("llama-3-8b", 8.03)]
    [TestCase("qwen3-4b", 4.02)]
    [TestCase("qwen3-8b", 8.19)]
    [TestCase("qwen3-14b", 14.77)]
    [TestCase("qwen3-32b", 32.76)]
    public void Plan_Preset_HasThePublishedSize(string name, double billions)
    {
        using var temporary = new TemporaryFolder();
        TestModelPreset preset = TestModelPreset.All.First(p => p.Name == name);
        string path = Path.Combine(temporary.Path, "config.json");
        File.WriteAllText(path, preset.ToConfig().ToJsonString());
        ModelConfig config = ModelConfigReader.Read(path);
        using var backend = new CpuBackend();
        FisherPlan plan = FisherPlan.Create(config, new FisherOptions { MaxDeviceBytes = 1_000_000_000_000 }, new CollectionSize(712_500, 2048), backend);
        long rotary = (long)config.MaxPositions * config.HeadDimension * sizeof(float);
        Assert.That((plan.WeightBytes - rotary) / 4 / 1e9, Is.EqualTo(billions).Within(0.006), "float32 on the CPU");
    }

    [Test]
    public void Run_SmallModel_GivesEveryStage()
    {
        using var temporary = new TemporaryFolder();
        string output = Path.Combine(temporary.Path, "model");
        TestModelWriter.Write(Small[0], output, seed: 0, calibrationTokens: 600, CancellationToken.None);
        using IBackend backend = new CpuBackend();
        var benchmark = new CollectionBenchmark(output, Path.Combine(output, "calibration.ids"), output)
        {
            Options = new FisherOptions { Gradients = 6, Solver = new SolverOptions { HalfSteps = 2 } },
            Layers = 6,
        };
        Dictionary<string, double> cases = benchmark.Run(backend, null, CancellationToken.None).ToDictionary(r => r.Case, r => r.Value);
        string[] expected = ["load", "forward", "head", "backward", "stack", "solve", "forward/rate", "solve/rate", "disk/rate", "total", "total@scaled-from-3-of-6-blocks"];
        Assert.That(cases.Keys, Is.SupersetOf(expected));
        Assert.That(cases["total@scaled-from-3-of-6-blocks"], Is.InRange(cases["total"], 2.1 * cases["total"]));
        Assert.That(Directory.EnumerateFiles(output, "*proj*"), Is.Empty, "factor files are dropped");
    }
}
