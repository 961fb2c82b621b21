using FastKron.Native.Cli;
using NUnit.Framework;

namespace FastKron.Native.Tests.Cli;

public sealed class ProgressDisplayTests
{
    [TestCase("rounding 50 %", 80, "rounding 50 %")]
    [TestCase("rounding 50 %", 13, "rounding 50 ")]
    [TestCase("rounding 50 %", 0, "")]
    public void Clip_ALiveLine_LeavesTheLastColumnFree(string line, int columns, string shown) => Assert.That(ProgressDisplay.Clip(line, columns), Is.EqualTo(shown));

    [TestCase(5.44, "5.4 s")]
    [TestCase(148, "2:28")]
    [TestCase(3748, "1:02:28")]
    public void Time_Seconds_AreShownInTheUnitThatFits(double seconds, string text) => Assert.That(ProgressDisplay.Time(seconds), Is.EqualTo(text));
}
