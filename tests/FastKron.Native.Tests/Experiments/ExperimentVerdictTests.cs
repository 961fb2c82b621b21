using FastKron.Native.Evaluation;
using FastKron.Native.Experiments;
using NUnit.Framework;

namespace FastKron.Native.Tests.Experiments;

public sealed class ExperimentVerdictTests
{
    // Ratio 0.8 with a standard error of 0.02 over five blocks: the interval is 0.8 ± 1.96 · 0.02.
    [TestCase(0.84, ExperimentOutcome.Confirmed)]
    [TestCase(0.83, ExperimentOutcome.Undecided)]
    [TestCase(0.77, ExperimentOutcome.Undecided)]
    [TestCase(0.76, ExperimentOutcome.NotConfirmed)]
    public void Of_Limit_IsComparedWithTheInterval(double atMost, ExperimentOutcome expected)
    {
        double[] blocks = [.. new[] { -1, -1, 0, 1, 1 }.Select(x => 0.8 + x * 0.02 * Math.Sqrt(5))];
        var verdict = ExperimentVerdict.Of(Claim(atMost), "m", 2, Sample(blocks), Sample([1, 1, 1, 1, 1]));
        Assert.That(verdict.Ratio, Is.EqualTo(0.8).Within(1e-12));
        Assert.That(verdict.High - verdict.Ratio, Is.EqualTo(1.96 * 0.02).Within(1e-12));
        Assert.That(verdict.Outcome, Is.EqualTo(expected));
    }

    [Test]
    public void Of_MissingLine_IsNotMeasured()
        => Assert.That(ExperimentVerdict.Of(Claim(1), "m", 2, null, Sample([1, 2])).Outcome, Is.EqualTo(ExperimentOutcome.NotMeasured));

    private static ExperimentClaim Claim(double atMost) => new() { Text = "t", Line = "a", Against = "b", AtMost = atMost };

    private static SeededSample Sample(double[] blocks) => new(new Dictionary<ulong, double[]> { [0] = blocks });
}
