using FastKron.Native.Quantization;
using FastKron.Native.Reports;
using NUnit.Framework;

namespace FastKron.Native.Tests.Reports;

public sealed class HtmlReportTests
{
    [Test]
    public void Render_AReport_IsOnePageThatFetchesNothingAndFollowsTheReadersColours()
    {
        string page = HtmlReport.Render(Report());
        using (Assert.EnterMultipleScope())
        {
            Assert.That(page, Does.Not.Contain("http:").And.Not.Contain("https:").And.Not.Contain("<script").And.Not.Contain("<link").And.Not.Contain("<img"));
            Assert.That(page, Does.Contain("prefers-color-scheme:dark"));
            Assert.That(page, Does.Contain("a &lt;b&gt; model"), "text is no markup");
            Assert.That(page, Does.Contain("Largest proxy errors: 1_down 0.04, 0_q 0.002."));
            Assert.That(page, Does.Contain("<td>bits per weight of the whole model</td><td>16</td><td>4</td>"));
            Assert.That(page, Does.Contain("6 (25 %)"));
            Assert.That(page, Does.Contain("An earlier run had finished 7 steps"));
            Assert.That(page, Does.Contain("rounding: encoding").And.Not.Contain("rounding: packing"), "parts of no length are left out");
        }
    }

    private static QuantizationReport Report() => new()
    {
        Engine = "engine",
        Backend = "cpu",
        Model = "a <b> model",
        Output = "/models/result",
        Job = new Dictionary<string, string> { ["bits"] = "2" },
        Linears = [Linear(0, "q", 0.002), Linear(1, "down", 0.04)],
        Skipped = [],
        Size = new SizeReport(1000, 2, 2.1, 24_000_000, 6_000_000, 12_000_000),
        ResumedSteps = 7,
        Stages = [new StageReport("rounding", 2, [new StageReport("encoding", 1.5), new StageReport("packing", 0.001)])],
    };

    private static LinearReport Linear(int layer, string kind, double error) => new(
        $"model.layers.{layer}.{kind}_proj", layer, kind, 16, 16, 2, 2.1, new RoundingStatistics("two-sided", error, error, 0.1, 1, 0.01, 0.01, null, 0.5), null);
}
