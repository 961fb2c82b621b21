using FastKron.Native.Evaluation;
using FastKron.Native.Evaluation.Tasks;
using FastKron.Native.Reports;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation;

/// <summary>Invented results whose differences are known.</summary>
public sealed class RunComparisonTests
{
    private static readonly MeasuredModel Model = new("/models/a", new string('a', 64), "BF16", 16, 16);

    [Test]
    public void Of_TwoRunsOnTheSameDocuments_GivesPairedDifferences()
    {
        // The second run loses documents 0 to 4, wins none: p = 2/2⁵.
        RunComparison comparison = RunComparison.Of([Run("a", "h", 1, 1, 1, 1, 1, 0, 1, 0), Run("b", "h", 0, 0, 0, 0, 0, 0, 1, 0)]);
        ComparedMeasure acc = comparison.Measures.Single(m => m.Kind == "acc"), perplexity = comparison.Measures.Single(m => m.Kind == "perplexity");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(acc.Numbers[0], Is.EqualTo(new ComparedNumber(0.75, acc.Numbers[0]!.Error)));
            Assert.That(acc.Numbers[1]!.Value, Is.EqualTo(0.125));
            Assert.That(acc.Numbers[1]!.Difference, Is.EqualTo(-0.625));
            Assert.That(acc.Numbers[1]!.Probability, Is.EqualTo(2.0 / 32).Within(1e-12));
            Assert.That((acc.Numbers[1]!.Low!.Value, acc.Numbers[1]!.High!.Value), Is.EqualTo((-0.875, -0.25)), "percentiles of the mean of 8 draws of 5 ones in 8");
            Assert.That(perplexity.Numbers[1]!.Difference, Is.EqualTo(-0.625).Within(1e-12), "the mean of the blocks' differences");
            Assert.That(perplexity.Numbers[1]!.High - perplexity.Numbers[1]!.Low, Is.EqualTo(2 * 1.96 * Math.Sqrt(8 * 0.625 * 0.375 / 7 / 8)).Within(1e-12));
            Assert.That(comparison.Measures.Where(m => m.Kind == "bits").Select(m => m.Numbers[1]!.Value), Is.EqualTo([16.0, 16.0]));
        }
    }

    [Test]
    public void Of_OtherDocumentsOrLimits_AreNeverInOneRow()
    {
        RunComparison comparison = RunComparison.Of([Run("a", "h", 1, 0), Run("b", "other", 1, 1), Run("c", "h", 1, 0, 1)]);
        ComparedMeasure[] acc = [.. comparison.Measures.Where(m => m.Kind == "acc")];
        Assert.That(acc, Has.Length.EqualTo(3));
        for (int row = 0; row < 3; row++)
            Assert.That(acc[row].Numbers.Select((n, run) => (n is not null, run)).Where(n => n.Item1).Select(n => n.run), Is.EqualTo([row]));
        Assert.That(acc.SelectMany(m => m.Numbers).OfType<ComparedNumber>().Select(n => n.Difference), Is.All.Null);
    }

    [Test]
    public void Of_RunsOfTheSameName_AreNumbered()
        => Assert.That(RunComparison.Of([Run("out", "h", 1, 0), Run("out", "h", 1, 0), Run("b", "h", 1, 0)]).Names, Is.EqualTo(["out (1)", "out (2)", "b"]));

    [Test]
    public void Of_SeveralTasks_AveragesThemStratified()
    {
        EvaluationResult Two(string name, int[] first, int[] second)
        {
            EvaluationResult one = Run(name, "h", first), two = Run(name, "i", second);
            return one with
            {
                Report = one.Report with { Tasks = [one.Report.Tasks[0], two.Report.Tasks[0] with { Task = "arc_easy" }] },
                Rows = [one.Rows[0], two.Rows[0]],
            };
        }
        RunComparison comparison = RunComparison.Of([Two("a", [1, 1], [0, 0, 0, 0]), Two("b", [0, 0], [1, 0, 0, 0])]);
        ComparedMeasure average = comparison.Measures.Single(m => m.Measure.StartsWith("average of 2 tasks", StringComparison.Ordinal));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(average.Numbers.Select(n => n!.Value), Is.EqualTo([0.5, 0.125]));
            Assert.That(average.Numbers[1]!.Difference, Is.EqualTo((-1 + 0.25) / 2));
            Assert.That(average.Numbers[1]!.Probability, Is.Null, "McNemar's test is for one task");
        }
    }

    [Test]
    public void Render_Comparison_HoldsNamesValuesAndNoMarkupOfTheirs()
    {
        RunComparison comparison = RunComparison.Of([Run("a|<b>", "h", 1, 0, 1, 1), Run("c", "h", 1, 1, 1, 1)]);
        string markdown = ComparisonReport.Markdown(comparison), html = ComparisonReport.Html(comparison), svg = ComparisonReport.Svg(comparison);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(markdown, Does.Contain("| measure |  | a\\|<b> | c | minus a\\|<b> |").And.Contain("| 0.7500 ± 0.2500 | 1.0000 ± 0.0000 | +0.2500 ["));
            Assert.That(markdown.Split('\n').Where(l => l.StartsWith('|')).Select(l => l.Replace("\\|", "", StringComparison.Ordinal).Count(c => c == '|')), Is.All.EqualTo(6), "five columns");
            Assert.That(html, Does.Contain("a|&lt;b&gt;").And.Not.Contain("<b>").And.Contain("<svg").And.EndWith("</html>\n"));
            Assert.That(svg, Does.StartWith("<svg xmlns").And.Contain("<title>c: 1.0000 ± 0.0000</title>"));
            Assert.That(svg.Split("<circle").Length - 1, Is.EqualTo(2 + 2), "two dots, two in the legend");
        }
    }

    private static EvaluationResult Run(string name, string hash, params int[] right)
    {
        double[] values = [.. right.Select(r => (double)r)];
        var task = new TaskReport
        {
            Task = "boolq",
            Version = "2.0",
            Protocol = "mc/harness-0.4",
            BosMode = "none",
            File = "f",
            FileHash = hash,
            FileDocuments = right.Length,
            Documents = right.Length,
            TruncatedDocuments = 0,
            Acc = values.Average(),
            AccError = Statistics.StandardError(values),
            Tokens = 1,
            Seconds = 1,
        };
        TaskRow[] rows = [.. right.Select((r, d) => new TaskRow { Doc = d, Id = $"{d}", LogLikelihoods = [-1, -2], Tokens = [1, 1], Characters = [2, 3], Bytes = [2, 3], Prediction = 0, Gold = 1 - r, Acc = r })];
        var report = new EvaluationReport
        {
            Engine = "e",
            Backend = "cpu",
            ActivationType = "F32",
            Model = Model,
            TokenizerHash = "t",
            BatchTokens = 1,
            Seed = 1,
            Seconds = 1,
            Tasks = [task],
            Texts = [new TextReport { Text = "t", TextHash = hash, Tokens = 1, BosMode = "tokenizer", Measured = PerplexitySummary.Of("block/t/2", 2, values), Seconds = 1 }],
        };
        return new EvaluationResult(name, report, [rows]);
    }
}
