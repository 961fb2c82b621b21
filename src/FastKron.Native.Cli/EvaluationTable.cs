using System.Globalization;
using FastKron.Native.Evaluation;
using FastKron.Native.Reports;
using Spectre.Console;

namespace FastKron.Native.Cli;

/// <summary>Prints what was measured.</summary>
internal static class EvaluationTable
{
    public static void Write(EvaluationReport report)
    {
        Table table = Output.Table("", "original", "measured");
        AddRows(table, report);
        Output.Write(table);
        WriteTexts(report);
    }

    /// <summary>Rows of three columns: what, original, measured.</summary>
    public static void AddRows(Table table, EvaluationReport report)
    {
        table.Row($"perplexity ({report.Measured.Protocol}, {report.Measured.Blocks.Count} blocks)", report.Original is null ? "" : Perplexity(report.Original), Perplexity(report.Measured));
        if (report.Divergence is not { } d)
            return;
        table.Row($"mean KL, nats ({d.Protocol})", "", Number($"{d.Mean:F4} ± {d.StandardError:F4}"));
        table.Row("median, 99.9 % KL", "", Number($"{d.Median:F4}, {d.Quantiles[0]:F3}"));
        table.Row("top-1 agreement", "", Number($"{100 * d.TopAgreement:F2} %"));
        table.Row("ln perplexity ratio", "", Number($"{d.LogPerplexityRatio:F4} ± {d.LogPerplexityRatioError:F4}"));
    }

    public static void WriteTexts(EvaluationReport report)
    {
        if (report.Prompt is null)
            return;
        if (report.OriginalText is not null)
            Console.WriteLine($"original:  {OneLine(report.OriginalText)}");
        Console.WriteLine($"measured:  {OneLine(report.MeasuredText!)}");
    }

    private static string Perplexity(PerplexitySummary p) => Number($"{p.Perplexity:F3} ± {p.StandardError:F3}");

    private static string Number(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static string OneLine(string text) => text.ReplaceLineEndings(" ");
}
