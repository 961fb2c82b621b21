using System.Globalization;
using FastKron.Native.Evaluation;
using FastKron.Native.Evaluation.Tasks;
using FastKron.Native.Reports;
using Spectre.Console;

namespace FastKron.Native.Cli;

/// <summary>Prints what was measured.</summary>
internal static class EvaluationTable
{
    public static void Write(EvaluationReport report)
    {
        if (report.Texts.Count > 0)
        {
            Table texts = Output.Table("", "original", "measured");
            AddRows(texts, report);
            Output.Write(texts);
        }
        if (report.Tasks.Count > 0)
            Output.Write(Tasks(report));
        WriteTexts(report);
    }

    /// <summary>Rows of three columns: what, original, measured.</summary>
    public static void AddRows(Table table, EvaluationReport report)
    {
        foreach (TextReport text in report.Texts)
            AddRows(table, text);
    }

    public static void WriteTexts(EvaluationReport report)
    {
        if (report.Prompt is null)
            return;
        if (report.OriginalText is not null)
            Console.WriteLine($"original:  {OneLine(report.OriginalText)}");
        Console.WriteLine($"measured:  {OneLine(report.MeasuredText!)}");
    }

    private static void AddRows(Table table, TextReport text)
    {
        table.Row($"perplexity ({text.Measured.Protocol}, window {text.Measured.Window}, {text.Measured.Blocks.Count} blocks)", text.Original is null ? "" : Perplexity(text.Original), Perplexity(text.Measured));
        if (text.Measured.BitsPerByte is { } bits)
            table.Row("bits per byte", text.Original?.BitsPerByte is { } before ? Number($"{before:F4}") : "", Number($"{bits:F4}"));
        if (text.Divergence is not { } d)
            return;
        table.Row($"mean KL, nats ({d.Protocol})", "", Share(d.Mean, d.StandardError));
        table.Row("median, 99.9 % KL", "", Number($"{d.Median:F4}, {d.Quantiles[0]:F3}"));
        table.Row("top-1 agreement", "", Number($"{100 * d.TopAgreement:F2} %"));
        table.Row("ln perplexity ratio", "", Share(d.LogPerplexityRatio, d.LogPerplexityRatioError));
    }

    private static Table Tasks(EvaluationReport report)
    {
        Table table = Output.Table("task", "split", "BOS", "documents", "acc", "acc_norm", "perplexity");
        foreach (TaskReport task in report.Tasks)
        {
            table.Row(
                task.Task, task.Split ?? "unknown", task.BosMode, task.Documents < task.FileDocuments ? Number($"first {task.Documents} of {task.FileDocuments}") : Number($"{task.Documents}"),
                Share(task.Acc, task.AccError), task.AccNorm is { } norm ? Share(norm, task.AccNormError!.Value) : "", task.Perplexity is { } p ? Number($"{p:F3} ± {task.PerplexityError:F3}") : "");
        }
        foreach (TaskAverage average in TaskAverage.Of(report))
            table.Row($"average of {average.Tasks}", "", average.BosMode, "", Share(average.Acc, average.AccError), "", "");
        return table;
    }

    // One block or document has no error that could be estimated.
    private static string Share(double value, double error) => double.IsFinite(error) ? Number($"{value:F4} ± {error:F4}") : Number($"{value:F4}");

    private static string Perplexity(PerplexitySummary p) => double.IsFinite(p.StandardError) ? Number($"{p.Perplexity:F3} ± {p.StandardError:F3}") : Number($"{p.Perplexity:F3}");

    private static string Number(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static string OneLine(string text) => text.ReplaceLineEndings(" ");
}
