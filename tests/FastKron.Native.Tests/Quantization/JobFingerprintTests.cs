using FastKron.Native.Codebooks;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Quantization;
using FastKron.Native.TestModels;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Quantization;

/// <summary>A run directory is resumed by whatever has its fingerprint: every option that can change a byte must be in it, and no other.</summary>
public sealed class JobFingerprintTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly QuantizationOptions _options;

    public JobFingerprintTests()
    {
        string model = _folder.File("model");
        TestModelWriter.Write(new("small-llama", "llama", 300, 64, 96, 2, 4, 2, 16, 128, 10000, 1e-5, false, 1, 2), model, seed: 0, calibrationTokens: 10, CancellationToken.None);
        File.WriteAllText(_folder.File("text.txt"), "some text");
        File.WriteAllText(_folder.File("other.txt"), "some other text");
        _options = new QuantizationOptions { Model = model, Output = _folder.File("output"), Calibration = [_folder.File("text.txt")] };
    }

    public void Dispose() => _folder.Dispose();

    private static IEnumerable<TestCaseData> Changing()
    {
        TestCaseData Case(string name, Func<QuantizationOptions, QuantizationOptions> change) => new TestCaseData(change).SetArgDisplayNames(name);
        TestCaseData Fisher(string name, Func<FisherOptions, FisherOptions> change) => Case(name, o => o with { Fisher = change(o.Fisher!) });
        TestCaseData Solver(string name, Func<SolverOptions, SolverOptions> change) => Fisher(name, f => f with { Solver = change(f.Solver) });
        yield return Case("bits", o => o with { Bits = 3, Code = TrellisCode.Hybrid });
        yield return Case("mixed", o => o with { Mixed = true });
        yield return Case("format", o => o with { Format = CheckpointFormat.Dense });
        yield return Case("skip", o => o with { Skip = ["gate"] });
        yield return Case("code", o => o with { Code = TrellisCode.OneMad });
        yield return Case("scale", o => o with { RelativeScale = 0.9 });
        yield return Case("equalize", o => o with { Equalize = false });
        yield return Case("fit scales", o => o with { FitScales = false });
        yield return Case("propagate", o => o with { Propagate = 0.5 });
        yield return Case("propagated tokens", o => o with { PropagatedTokens = 100 });
        yield return Case("seed", o => o with { Seed = 1 });
        yield return Case("text", o => o with { Calibration = [o.Calibration[0].Replace("text.txt", "other.txt", StringComparison.Ordinal)] });
        yield return Case("split", o => o with { Calibration = [o.Calibration[0] + ":lines"] });
        yield return Case("tokens", o => o with { Tokens = 1000 });
        yield return Case("context", o => o with { Context = 64 });
        yield return Case("no factors", o => o with { Fisher = null });
        yield return Fisher("source", f => f with { Source = FactorSource.PerSequence });
        yield return Fisher("labels", f => f with { Labels = LabelSource.True });
        yield return Fisher("centering", f => f with { Centering = GradientCentering.Mean });
        yield return Fisher("gradients", f => f with { Gradients = 10 });
        yield return Fisher("gradient type", f => f with { GradientType = DType.F32 });
        yield return Fisher("micro-batch", f => f with { MicroBatchTokens = 512 });
        yield return Solver("solver", s => s with { Kind = SolverKind.Power });
        yield return Solver("half-steps", s => s with { HalfSteps = 4 });
        yield return Solver("epsilon", s => s with { Epsilon = 0.1 });
    }

    [TestCaseSource(nameof(Changing))]
    public void Compute_OptionThatChangesBytes_GivesAnotherFingerprint(Func<QuantizationOptions, QuantizationOptions> change) =>
        Assert.That(Compute(change(_options)), Is.Not.EqualTo(Compute(_options)));

    // Of sources that read them.
    [Test]
    public void Compute_OptionsOfOtherSolvers_AreThereWhereTheyAreRead()
    {
        QuantizationOptions With(FisherOptions fisher) => _options with { Fisher = fisher };
        SolverOptions power = new() { Kind = SolverKind.Power }, lanczos = new() { Kind = SolverKind.Lanczos };
        FisherOptions sketch = new() { Source = FactorSource.SketchA }, tokens = new() { Source = FactorSource.TokenLikelihood };
        Assert.Multiple(() =>
        {
            Assert.That(Compute(With(new() { Solver = power with { PowerTolerance = 0 } })), Is.Not.EqualTo(Compute(With(new() { Solver = power }))));
            Assert.That(Compute(With(new() { Solver = lanczos with { LanczosTolerance = 0 } })), Is.Not.EqualTo(Compute(With(new() { Solver = lanczos }))));
            Assert.That(Compute(With(new() { Solver = lanczos with { LanczosSteps = 3 } })), Is.Not.EqualTo(Compute(With(new() { Solver = lanczos }))));
            Assert.That(Compute(With(sketch with { Passes = 2 })), Is.Not.EqualTo(Compute(With(sketch))));
            Assert.That(Compute(With(tokens with { Solver = new() { Epsilon = 0.1 } })), Is.Not.EqualTo(Compute(With(tokens))));
        });
    }

    [Test]
    public void Compute_OptionsThatChangeNoByte_GivesTheSame()
    {
        QuantizationOptions same = _options with
        {
            Output = _folder.File("elsewhere"),
            Warn = _ => { },
            Propagate = QuantizationOptions.DefaultPropagation,
            Code = TrellisCode.Hybrid,
            Fisher = _options.Fisher! with { MaxDeviceBytes = 1 << 30 },
        };
        Assert.That(Compute(same), Is.EqualTo(Compute(_options)));
    }

    private static SortedDictionary<string, string> Compute(QuantizationOptions options)
    {
        using var backend = new CpuBackend();
        return JobFingerprint.Compute(options, backend);
    }
}
