using FastKron.Native.Evaluation;
using FastKron.Native.Reports;
using NUnit.Framework;

namespace FastKron.Native.Tests.Reports;

public sealed class ComparisonReportTests
{
    [TestCase(-0.00001, "0.0000 [−0.0100, +0.0100]")]
    [TestCase(0.00001, "0.0000 [−0.0100, +0.0100]")]
    [TestCase(-0.5, "−0.5000 [−0.0100, +0.0100]")]
    [TestCase(0.5, "+0.5000 [−0.0100, +0.0100]")]
    public void Table_Differences_HaveASignUnlessTheyVanish(double difference, string cell)
    {
        var measure = new ComparedMeasure("mean KL", "kl", "", [new ComparedNumber(1, 0.1), new ComparedNumber(1, 0.1, difference, -0.01, 0.01)]);
        Assert.That(ComparisonReport.Table(new RunComparison(["a", "b"], [], [measure])).Rows[0], Is.EqualTo(new[] { "mean KL", "kl", "1.0000 ± 0.1000", "1.0000 ± 0.1000", cell }));
    }
}
