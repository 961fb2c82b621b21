using System.Globalization;
using System.Net;
using System.Text;
using FastKron.Native.Evaluation;

namespace FastKron.Native.Reports;

/// <summary>Draws a <see cref="RunComparison"/> as a table (plain cells, Markdown, HTML) and as a plot (SVG).</summary>
public static class ComparisonReport
{
    private const string Legend =
        "± is one standard error. Differences are paired, to the first run, with their 95 % interval: bootstrap of documents for accuracies (within each task for an average), "
        + "normal over blocks for KL and for the logarithm of perplexities. p is McNemar's exact test.";

    /// <summary>Headers and cells of the table: a column for each run, and behind each but the first its difference to the first.</summary>
    public static (IReadOnlyList<string> Headers, IReadOnlyList<IReadOnlyList<string>> Rows) Table(RunComparison comparison)
    {
        List<string> headers = ["measure", "", comparison.Names[0]];
        foreach (string name in comparison.Names.Skip(1))
            headers.AddRange([name, $"minus {comparison.Names[0]}"]);
        return (headers, [.. comparison.Measures.Select(Row)]);
    }

    /// <summary>A Markdown table and its legend.</summary>
    public static string Markdown(RunComparison comparison)
    {
        (IReadOnlyList<string> headers, IReadOnlyList<IReadOnlyList<string>> rows) = Table(comparison);
        var page = new StringBuilder();
        MarkdownTable.Append(page, headers, rows, left: 2);
        return page.Append('\n').Append(Legend).Append('\n').ToString();
    }

    /// <summary>One HTML file: the models, the table, the plot; no scripts, nothing fetched.</summary>
    public static string Html(RunComparison comparison)
    {
        (IReadOnlyList<string> headers, IReadOnlyList<IReadOnlyList<string>> rows) = Table(comparison);
        var page = new StringBuilder("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">");
        page.Append(CultureInfo.InvariantCulture, $"<title>Comparison of {comparison.Names.Count} runs</title><style>{HtmlReport.Style}</style><h1>Comparison</h1>");
        AppendTable("td", ["run", "weights", "model", "sha256"], [.. comparison.Names.Select((name, i) => (IReadOnlyList<string>)[name, comparison.Models[i].Weights, comparison.Models[i].Path, comparison.Models[i].Hash[..12]])]);
        AppendTable("td", headers, rows);
        page.Append(CultureInfo.InvariantCulture, $"<p>{Encode(Legend)}</p>{Svg(comparison)}");
        return page.Append("</html>\n").ToString();

        void AppendTable(string cell, IReadOnlyList<string> header, IReadOnlyList<IReadOnlyList<string>> body)
        {
            page.Append("<table>");
            AppendRow("th", header);
            foreach (IReadOnlyList<string> row in body)
                AppendRow(cell, row);
            page.Append("</table>");
        }

        void AppendRow(string cell, IReadOnlyList<string> cells)
        {
            page.Append("<tr>");
            foreach (string text in cells)
                page.Append(CultureInfo.InvariantCulture, $"<{cell}>{Encode(text)}</{cell}>");
            page.Append("</tr>");
        }
    }

    /// <summary>Accuracies of all runs as dots with their standard errors, or, where none was measured, mean KLs; an empty string where neither was.</summary>
    public static string Svg(RunComparison comparison)
    {
        foreach ((string kind, string title) in new[] { ("acc", "Accuracy"), ("kl", "Mean KL, nats") })
        {
            ComparedMeasure[] measures = [.. comparison.Measures.Where(m => m.Kind == kind)];
            if (measures.Length > 0)
                return SvgDotPlot.Draw(title, comparison.Names, measures);
        }
        return "";
    }

    private static List<string> Row(ComparedMeasure measure)
    {
        List<string> cells = [measure.Measure, measure.Kind];
        for (int run = 0; run < measure.Numbers.Count; run++)
        {
            ComparedNumber? number = measure.Numbers[run];
            cells.Add(number is null ? "" : Value(measure.Kind, number));
            if (run > 0)
                cells.Add(number?.Difference is null ? "" : Difference(measure.Kind, number));
        }
        return cells;
    }

    private static string Value(string kind, ComparedNumber number)
    {
        string format = kind switch { "bits" => "F3", "perplexity" => "F3", _ => "F4" };
        string value = number.Value.ToString(format, CultureInfo.InvariantCulture);
        return number.Error is { } error ? $"{value} ± {error.ToString(format, CultureInfo.InvariantCulture)}" : value;
    }

    private static string Difference(string kind, ComparedNumber number)
    {
        string p = number.Probability is { } probability ? string.Create(CultureInfo.InvariantCulture, $", p {probability:G2}") : "";
        return string.Create(CultureInfo.InvariantCulture, $"{(kind == "perplexity" ? "ln " : "")}{number.Difference:+0.0000;−0.0000;0.0000} [{number.Low:+0.0000;−0.0000;0.0000}, {number.High:+0.0000;−0.0000;0.0000}]{p}");
    }

    private static string Encode(string text) => WebUtility.HtmlEncode(text);
}
