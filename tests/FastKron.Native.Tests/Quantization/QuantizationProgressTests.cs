using FastKron.Native.Quantization;
using NUnit.Framework;

namespace FastKron.Native.Tests.Quantization;

public sealed class QuantizationProgressTests
{
    // Of 20 seconds until the first report at 10 % nothing comes again: 30 % in 15 seconds leave 30 for the other 60 %.
    [TestCase(0.1, 20, 0.4, 35, 30)]
    [TestCase(0.0, 0, 0.25, 10, 30)]
    [TestCase(0.1, 20, 1.0, 65, 0)]
    public void RemainingSince_AnEarlierReport_IsAtTheRateSince(double firstFraction, double firstSeconds, double fraction, double seconds, double remaining) =>
        Assert.That(At(fraction, seconds).RemainingSince(At(firstFraction, firstSeconds))!.Value.TotalSeconds, Is.EqualTo(remaining).Within(1e-6));

    [Test]
    public void RemainingSince_TheSameReport_IsUnknown() => Assert.That(At(0.1, 20).RemainingSince(At(0.1, 20)), Is.Null);

    private static QuantizationProgress At(double fraction, double seconds) => new("rounding", fraction, 0, 1, null, null, TimeSpan.FromSeconds(seconds));
}
