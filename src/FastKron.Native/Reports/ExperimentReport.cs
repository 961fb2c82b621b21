using System.Globalization;
using System.Net;
using System.Text;
using FastKron.Native.Experiments;

namespace FastKron.Native.Reports;

/// <summary>Writes an <see cref="ExperimentTable"/> for people: Markdown, one HTML file, and a plot of KL against tokens for each section.</summary>
public static class ExperimentReport
{
    private const string Legend =
        "± is one standard error, from blocks of text (or documents) and rotation seeds together. Differences are paired, by seed and by block or document; those of the average accuracy "
        + "have their 95 % interval by bootstrap of documents within tasks. Steps are half-steps of the solver or passes over the data, mean over the matrices. Hours of the device are those from "
        + "calibration text to factors, once for all bits and seeds. A claim about KL is confirmed if the 95 % interval of the ratio lies within its limit, not confirmed if it lies outside, and undecided else.";

    /// <summary>The page as Markdown.</summary>
    public static string Markdown(ExperimentTable table)
    {
        var page = new StringBuilder();
        page.Append(CultureInfo.InvariantCulture, $"# {table.Title}\n\n");
        foreach (string line in Introduction(table))
            page.Append(line).Append("\n\n");
        if (table.Verdicts.Count > 0)
        {
            page.Append("## What the numbers say\n\n");
            foreach (IGrouping<string, ExperimentVerdict> claim in table.Verdicts.GroupBy(v => v.Claim))
            {
                page.Append(CultureInfo.InvariantCulture, $"**{claim.Key}** {Summary([.. claim])}\n\n");
                MarkdownTable.Append(page, VerdictHeaders, claim.Select(Cells));
                page.Append('\n');
            }
        }
        foreach (ExperimentSection section in table.Sections)
        {
            page.Append(CultureInfo.InvariantCulture, $"## {Heading(section)}\n\n");
            MarkdownTable.Append(page, Headers(section), section.Lines.Select(line => Cells(section, line)));
            page.Append('\n');
        }
        return page.Append(Legend).Append('\n').ToString();
    }

    /// <summary>The same as one HTML file with its plots; no scripts, nothing fetched.</summary>
    public static string Html(ExperimentTable table)
    {
        var page = new StringBuilder("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">");
        page.Append(CultureInfo.InvariantCulture, $"<title>{Text(table.Title)}</title><style>{HtmlReport.Style}body{{max-width:1500px}}</style><h1>{Text(table.Title)}</h1>");
        foreach (string line in Introduction(table))
            page.Append(CultureInfo.InvariantCulture, $"<p>{Text(line)}</p>");
        if (table.Verdicts.Count > 0)
        {
            page.Append("<h2>What the numbers say</h2>");
            foreach (IGrouping<string, ExperimentVerdict> claim in table.Verdicts.GroupBy(v => v.Claim))
            {
                page.Append(CultureInfo.InvariantCulture, $"<p><b>{Text(claim.Key)}</b> {Text(Summary([.. claim]))}</p>");
                AppendTable(page, VerdictHeaders, claim.Select(Cells));
            }
        }
        foreach (ExperimentSection section in table.Sections)
        {
            page.Append(CultureInfo.InvariantCulture, $"<h2>{Text(Heading(section))}</h2>");
            AppendTable(page, Headers(section), section.Lines.Select(line => Cells(section, line)));
            page.Append(CultureInfo.InvariantCulture, $"<div style=\"max-width:760px\">{Chart(section).Draw()}</div>");
        }
        return page.Append(CultureInfo.InvariantCulture, $"<p>{Text(Legend)}</p></html>\n").ToString();
    }

    /// <summary>The plots as files of their own: name and content.</summary>
    public static IEnumerable<(string Name, string Svg)> Plots(ExperimentTable table) =>
        from section in table.Sections
        let svg = Chart(section).Draw(standalone: true)
        where svg.Length > 0
        select (string.Create(CultureInfo.InvariantCulture, $"kl-{section.Model}-{section.Bits}bit.svg"), svg + "\n");

    private static IEnumerable<string> Introduction(ExperimentTable table)
    {
        if (table.Notes is { } notes)
            yield return notes;
        if (table.Text.Length > 0)
            yield return $"KL to the original in nats: {table.Text}.";
        if (table.Origins.Count > 0)
            yield return $"Measured on {string.Join("; ", table.Origins.Select(o => $"{o.Backend}, {o.Date}, engine {o.Engine}"))}.";
        if (table.Missing.Count > 0)
            yield return string.Create(CultureInfo.InvariantCulture, $"Not measured yet: {table.Missing.Count} cells, marked … below ({string.Join(", ", table.Missing.Take(6))}{(table.Missing.Count > 6 ? ", …" : "")}).");
    }

    private static string Heading(ExperimentSection section) => string.Create(CultureInfo.InvariantCulture, $"{section.Model}, {section.Bits} bits");

    private static string[] TaskNames(ExperimentSection section) => [.. section.Lines.SelectMany(line => line.Tasks.Keys).Distinct()];

    private static string[] Rivals(ExperimentSection section) => [.. section.Lines.SelectMany(line => line.Differences).Select(d => d.Rival).Distinct()];

    private static List<string> Headers(ExperimentSection section)
    {
        List<string> headers = ["method", "seeds", "steps", "tokens", "hours of the device", "s to round", "stored bits", .. TaskNames(section)];
        bool average = section.Lines.Any(line => line.Average is not null);
        if (average)
            headers.Add("average");
        headers.AddRange(["perplexity", "KL"]);
        foreach (string rival in Rivals(section))
        {
            headers.Add($"KL minus {rival}");
            if (average)
                headers.Add($"average minus {rival}");
        }
        return headers;
    }

    private static List<string> Cells(ExperimentSection section, ExperimentLine line)
    {
        bool average = section.Lines.Any(l => l.Average is not null), measured = line.Seeds.Count > 0;
        List<string> cells =
        [
            line.Name + (line.Fallbacks > 0 ? string.Create(CultureInfo.InvariantCulture, $" ({line.Fallbacks} matrices by a weaker method)") : ""),
            line.Seeds.Count == line.WantedSeeds ? Number($"{line.Seeds.Count}") : Number($"{line.Seeds.Count} of {line.WantedSeeds} …"),
            Number($"{line.Steps:0.#}"), line.Tokens is { } tokens ? Number($"{tokens:N0}") : "", line.FactorSeconds is { } seconds ? Number($"{seconds / 3600:G2}") : "",
            Number($"{line.RoundingSeconds:F1}"), Number($"{line.StoredBits:F2}"),
            .. TaskNames(section).Select(task => measured ? Estimate(line.Tasks.GetValueOrDefault(task), "F4") : "…"),
        ];
        if (average)
            cells.Add(measured ? Estimate(line.Average, "F4") : "…");
        cells.AddRange(measured ? [Estimate(line.Perplexity, "F2"), Estimate(line.Divergence, "F4")] : ["…", "…"]);
        foreach (string rival in Rivals(section))
        {
            ExperimentDifference? difference = line.Differences.FirstOrDefault(d => d.Rival == rival);
            cells.Add(difference?.Divergence is { } d ? Number($"{d.Value:+0.0000;−0.0000;0.0000} ± {d.Error:F4}") : "");
            if (average)
                cells.Add(difference?.Accuracy is { } a ? Number($"{a:+0.0000;−0.0000;0.0000} [{difference.Low:+0.0000;−0.0000;0.0000}, {difference.High:+0.0000;−0.0000;0.0000}]") : "");
        }
        return cells;
    }

    private static readonly string[] VerdictHeaders = ["model", "bits", "ratio of mean KLs", "95 % interval", "claimed at most", "outcome"];

    private static List<string> Cells(ExperimentVerdict verdict) =>
    [
        verdict.Model, Number($"{verdict.Bits}"), Number($"{verdict.Ratio:F3}"), verdict.Low is null ? "" : Number($"{verdict.Low:F3} … {verdict.High:F3}"), Number($"{verdict.AtMost:F2}"), Outcome(verdict.Outcome),
    ];

    private static string Summary(IReadOnlyList<ExperimentVerdict> verdicts)
    {
        IEnumerable<string> counts = verdicts.GroupBy(v => v.Outcome).OrderBy(g => g.Key).Select(g => string.Create(CultureInfo.InvariantCulture, $"{Outcome(g.Key)} in {g.Count()} of {verdicts.Count}"));
        return $"({verdicts[0].Line} against {verdicts[0].Against}: {string.Join(", ", counts)})";
    }

    private static string Outcome(ExperimentOutcome outcome) => outcome switch
    {
        ExperimentOutcome.Confirmed => "confirmed",
        ExperimentOutcome.NotConfirmed => "not confirmed",
        ExperimentOutcome.Undecided => "undecided",
        _ => "not measured yet",
    };

    private static SvgChart Chart(ExperimentSection section)
    {
        var chart = new SvgChart($"KL against calibration tokens: {Heading(section)}", "calibration tokens", "mean KL, nats", logarithmic: false, logarithmicX: true);
        foreach (IGrouping<string, ExperimentLine> row in section.Lines.Where(line => line is { Tokens: not null, Divergence: not null }).GroupBy(line => line.Row))
            chart.Add(row.Key, row.OrderBy(line => line.Tokens).Select(line => ((double)line.Tokens!, line.Divergence!.Value, line.Divergence.Error)));
        return chart;
    }

    private static void AppendTable(StringBuilder page, IReadOnlyList<string> headers, IEnumerable<IReadOnlyList<string>> rows)
    {
        page.Append("<table>");
        AppendRow("th", headers);
        foreach (IReadOnlyList<string> row in rows)
            AppendRow("td", row);
        page.Append("</table>");

        void AppendRow(string cell, IReadOnlyList<string> cells)
        {
            page.Append("<tr>");
            foreach (string text in cells)
                page.Append(CultureInfo.InvariantCulture, $"<{cell}>{Text(text)}</{cell}>");
            page.Append("</tr>");
        }
    }

    private static string Estimate(ExperimentEstimate? estimate, string format) => estimate is null ? ""
        : $"{estimate.Value.ToString(format, CultureInfo.InvariantCulture)} ± {(double.IsFinite(estimate.Error) ? estimate.Error.ToString(format, CultureInfo.InvariantCulture) : "?")}";

    private static string Number(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
