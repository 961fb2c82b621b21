using FastKron.Native.Benchmarking;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Formats;
using FastKron.Native.Quantization;
using FastKron.Native.TestModels;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Benchmarking;

public sealed class ModelRoundingBenchmarkTests
{
    [Test]
    public void Run_SmallModel_GivesEveryPhaseAndLeavesNothing()
    {
        using var temporary = new TemporaryFolder();
        string model = Path.Combine(temporary.Path, "model"), work = Path.Combine(temporary.Path, "work");
        var preset = new TestModelPreset("small-llama", "llama", 300, 64, 96, 3, 4, 2, 16, 128, 10000, 1e-5, false, 1, 2);
        TestModelWriter.Write(preset, model, seed: 0, calibrationTokens: 10, CancellationToken.None);
        using IBackend backend = new CpuBackend();
        BenchmarkRecord[] records = [.. new ModelRoundingBenchmark(model, work) { Layers = 6 }.Run(backend, null, CancellationToken.None)];
        Dictionary<string, double> cases = records.ToDictionary(r => r.Case, r => r.Value);
        string[] measured = ["device/factorisation", "device/rotation", "device/encoding", "device/feedback", "device/packing", "writing", "total"];
        Assert.That(measured.Select(name => cases[name]), Has.All.Positive);
        Assert.That(cases["rounding"], Is.GreaterThan(cases["device/encoding"] + cases["device/feedback"]).And.LessThan(cases["total"]));
        Assert.That(cases["total@scaled-from-3-of-6-blocks"], Is.InRange(cases["total"], 2.01 * cases["total"]));
        Assert.That(Directory.Exists(work), Is.False);
        Assert.That(records.Select(r => r.Floor), Has.All.Null, "the floor is a GPU's");
    }

    // Waves of 2, 4, 2 tiles; of 1, 2, 2, 1; three at once hold them in 1 + 2 + 1 and 1 + 1 + 1 + 1 rounds.
    [Test]
    public void Fill_TwoBatches_CountsEmptyPlaces()
    {
        LinearShape square = Shape(32, 32), wide = Shape(32, 48);
        Assert.That(ModelRoundingBenchmark.Fill(3, [[square, square], [wide]]), Is.EqualTo(14.0 / 24).Within(1e-12));
    }

    private static LinearShape Shape(int rows, int columns) => new(Layer: 0, BlockLinear.Query, rows, columns);
}
