using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using NUnit.Framework;

namespace FastKron.Native.Tests.Fisher;

public sealed class FisherOptionsTests
{
    private static IEnumerable<TestCaseData> Refused()
    {
        SolverOptions none = new() { HalfSteps = 0 };
        yield return new(new FisherOptions { Gradients = 0 }, "--gradients 0");
        yield return new(new FisherOptions { Source = FactorSource.PerSequence, Centering = GradientCentering.Mean }, "--centre with --factors per-sequence");
        yield return new(new FisherOptions { Source = FactorSource.SketchA, Passes = 1 }, "sketch-a: found 1 passes");
        yield return new(new FisherOptions { Source = FactorSource.TokenLikelihood, Passes = 1 }, "token-likelihood: found 1 passes");
        yield return new(new FisherOptions { Source = FactorSource.SketchB, Passes = 0 }, "sketch-b: found 0 passes");
        yield return new(new FisherOptions { Solver = none }, "fastkron: found 0 passes or half-steps");
        yield return new(new FisherOptions { Source = FactorSource.PerSequence, Solver = none with { Kind = SolverKind.Power } }, "per-sequence: found 0");
        yield return new(new FisherOptions { Solver = new() { Kind = SolverKind.Lanczos, LanczosSteps = 0 } }, "fastkron: found 0");
        yield return new(new FisherOptions { Solver = new() { Epsilon = double.NaN } }, "found NaN");
        yield return new(new FisherOptions { GradientType = DType.F16 }, "found F16");
    }

    [TestCaseSource(nameof(Refused))]
    public void Check_WhatWouldFailLate_IsRefused(FisherOptions options, string named) => Assert.That(options.Check, Throws.ArgumentException.With.Message.Contains(named));

    [Test]
    public void Check_EveryPreset_Passes() => Assert.Multiple(() =>
    {
        foreach (FisherPreset preset in FisherPreset.All)
            Assert.That(preset.Options.Check, Throws.Nothing, preset.Name);
        foreach (FactorSource source in Enum.GetValues<FactorSource>())
            Assert.That(new FisherOptions { Source = source }.Check, Throws.Nothing, $"{source}");
    });
}
