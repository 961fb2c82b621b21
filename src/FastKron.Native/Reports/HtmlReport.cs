using System.Globalization;
using System.Net;
using System.Text;
using FastKron.Native.Quantization;

namespace FastKron.Native.Reports;

/// <summary>Draws a <see cref="QuantizationReport"/> as one HTML file: tables and SVG plots, no scripts, nothing fetched.</summary>
public static class HtmlReport
{
    internal const string Style =
        "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1060px;padding:0 1rem;color:#222;background:#fff}" +
        "table{border-collapse:collapse;margin:.6rem 0 1.4rem}td,th{padding:.18rem .7rem;border-bottom:1px solid #ddd;text-align:right}" +
        "th{background:#f5f5f5}td:first-child,th:first-child{text-align:left}.plots{display:grid;grid-template-columns:1fr 1fr;gap:1rem}" +
        "svg{width:100%;height:auto;font:12px system-ui,sans-serif;fill:currentColor}.t{font-weight:600;font-size:13px}.g{stroke:#e4e4e4}.y{text-anchor:end}.x{text-anchor:middle}" +
        "blockquote{border-left:3px solid #ccc;margin:.4rem 0;padding:.2rem .8rem}.bad{color:#b00020;font-weight:600}@media(max-width:760px){.plots{grid-template-columns:1fr}}" +
        ":root{color-scheme:light dark}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181a1b}td,th{border-color:#3a3d3f}th{background:#26292b}.g{stroke:#3a3d3f}" +
        "blockquote{border-color:#555}.bad{color:#ff7b8e}}";

    /// <summary>The whole page.</summary>
    public static string Render(QuantizationReport report)
    {
        var page = new StringBuilder();
        page.Append("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">");
        page.Append(CultureInfo.InvariantCulture, $"<title>{Text(Path.GetFileName(report.Output))}: quantization report</title><style>{Style}</style>");
        page.Append(CultureInfo.InvariantCulture, $"<h1>{Text(Path.GetFileName(report.Output))}</h1><p>{Text(report.Model)}, quantized by {Text(report.Engine)} on {Text(report.Backend)}.</p>");
        AppendSummary(page, report);
        AppendFallbacks(page, report);
        if (report.Evaluation is { Prompt: not null } sample)
        {
            page.Append(CultureInfo.InvariantCulture, $"<h2>Greedy continuation of “{Text(sample.Prompt)}”</h2><p>Original</p><blockquote>{Text(sample.OriginalText)}</blockquote>");
            page.Append(CultureInfo.InvariantCulture, $"<p>Quantized</p><blockquote>{Text(sample.MeasuredText)}</blockquote>");
        }
        AppendPlots(page, report);
        AppendStages(page, report);
        AppendLinears(page, report);
        AppendJob(page, report);
        return page.Append("</html>\n").ToString();
    }

    private static void AppendSummary(StringBuilder page, QuantizationReport report)
    {
        page.Append("<h2>Result</h2><table><tr><th></th><th>original</th><th>quantized</th></tr>");
        Row(page, "code bits per weight", "", $"{Number(report.Size.CodeBits)}");
        Row(page, "stored bits per weight of the quantized linears", "", Number(report.Size.StoredBits));
        Row(page, "bits per weight of the whole model", Number(report.Size.OriginalBits), Number(report.Size.OutputBits));
        Row(page, "safetensors, MB", Number(report.Size.OriginalBytes / 1e6), $"{Number(report.Size.OutputBytes / 1e6)} ({100 * report.Size.Ratio:F0} %)");
        foreach (TextReport text in report.Evaluation?.Texts ?? [])
        {
            Row(page, $"perplexity, {text.Measured.Protocol}", WithError(text.Original?.Perplexity, text.Original?.StandardError), WithError(text.Measured.Perplexity, text.Measured.StandardError));
            if (text.Divergence is { } divergence)
            {
                Row(page, $"mean KL, nats, {divergence.Protocol}", "", WithError(divergence.Mean, divergence.StandardError));
                Row(page, "median / 99.9 % KL", "", $"{Number(divergence.Median)} / {Number(divergence.Quantiles[0])}");
                Row(page, "top-1 agreement", "", $"{100 * divergence.TopAgreement:F2} %");
                Row(page, "ln perplexity ratio", "", WithError(divergence.LogPerplexityRatio, divergence.LogPerplexityRatioError));
            }
        }
        page.Append("</table>");
    }

    private static void AppendFallbacks(StringBuilder page, QuantizationReport report)
    {
        foreach (LinearReport linear in report.Linears.Where(l => l.Rounding.Fallback is not null))
            page.Append(CultureInfo.InvariantCulture, $"<p class=\"bad\">{Text(linear.Name)}: rounded by {Text(linear.Rounding.Method)}: {Text(linear.Rounding.Fallback)}</p>");
        if (report.Skipped.Count > 0)
            page.Append(CultureInfo.InvariantCulture, $"<p>Left dense: {Text(string.Join(", ", report.Skipped))}.</p>");
    }

    private static void AppendPlots(StringBuilder page, QuantizationReport report)
    {
        page.Append(CultureInfo.InvariantCulture, $"<p>Largest proxy errors: {Text(report.LargestErrors(5))}.</p>");
        page.Append("<h2>By layer</h2><p>A line for each kind of matrix. The proxy error is the loss that rounding adds, as the factors A and B predict it, relative to that of weights that are all zero; ");
        page.Append("E is what rounding changed in W. σ₂/σ₁ tells how far the gradients are from a Kronecker product: 0 is one.</p><div class=\"plots\">");
        Plot(page, report, "Proxy error", "tr(EBEᵀA) / tr(WBWᵀA)", logarithmic: true, l => l.Rounding.ProxyError);
        Plot(page, report, "Relative weight error", "‖E‖² / ‖W‖²", logarithmic: false, l => l.Rounding.RelativeWeightError);
        Plot(page, report, "Spectrum gap", "σ₂ / σ₁", logarithmic: false, l => l.Factors?.SigmaRatio ?? double.NaN);
        Plot(page, report, "Last change of the output factor", "‖ΔA‖ / ‖A‖", logarithmic: true, l => l.Factors is { ChangeOut.Count: > 0 } f ? f.ChangeOut[^1] : double.NaN);
        Plot(page, report, "Stored bits", "bits per weight", logarithmic: false, l => l.StoredBits);
        Plot(page, report, "Seconds", "solver + rounding", logarithmic: false, l => l.Rounding.Seconds + (l.Factors?.Seconds ?? 0));
        page.Append("</div>");
    }

    private static void Plot(StringBuilder page, QuantizationReport report, string title, string unit, bool logarithmic, Func<LinearReport, double> value)
    {
        var chart = new SvgChart(title, "block", unit, logarithmic);
        foreach (IGrouping<string, LinearReport> kind in report.Linears.GroupBy(l => l.Kind))
            chart.Add(kind.Key, kind.Select(l => ((double)l.Layer, value(l))));
        page.Append(chart.Draw());
    }

    private static void AppendStages(StringBuilder page, QuantizationReport report)
    {
        string resumed = report.ResumedSteps > 0 ? $" An earlier run had finished {report.ResumedSteps} steps, which are not counted." : "";
        page.Append(CultureInfo.InvariantCulture, $"<h2>Seconds per stage</h2><p>Parts of a stage may overlap.{resumed}</p><table>");
        foreach (StageReport stage in report.Stages)
        {
            Row(page, stage.Name, stage.Seconds.ToString("F2", CultureInfo.InvariantCulture));
            foreach (StageReport part in stage.LastingParts())
                Row(page, $"{stage.Name}: {part.Name}", part.Seconds.ToString("F2", CultureInfo.InvariantCulture));
        }
        Row(page, "total", report.Stages.Sum(s => s.Seconds).ToString("F2", CultureInfo.InvariantCulture));
        page.Append("</table>");
    }

    private static void AppendLinears(StringBuilder page, QuantizationReport report)
    {
        page.Append("<h2>Matrices</h2><table><tr><th>matrix</th><th>shape</th><th>method</th><th>proxy error</th><th>weight error</th><th>σ₂/σ₁</th><th>damping out / in</th><th>bits</th><th>seconds</th></tr>");
        foreach (LinearReport l in report.Linears)
        {
            RoundingStatistics r = l.Rounding;
            Row(page, l.Name, $"{l.Rows} × {l.Columns}", r.Method, Number(r.ProxyError), Number(r.RelativeWeightError), l.Factors?.SigmaRatio is { } ratio ? Number(ratio) : "",
                $"{Number(r.DampingOut)} / {Number(r.DampingIn)}", Number(l.StoredBits), (r.Seconds + (l.Factors?.Seconds ?? 0)).ToString("F2", CultureInfo.InvariantCulture));
        }
        page.Append("</table>");
    }

    private static void AppendJob(StringBuilder page, QuantizationReport report)
    {
        page.Append("<h2>How it was made</h2><table>");
        foreach ((string key, string value) in report.Job)
            Row(page, key, value);
        if (report.Calibration is { } calibration)
            Row(page, "calibration text", $"{calibration.Source}: {calibration.Tokens:N0} tokens of {calibration.Documents:N0} documents, sha256 {calibration.Hash}");
        page.Append("</table>");
    }

    private static void Row(StringBuilder page, params string[] cells)
    {
        page.Append("<tr>");
        foreach (string cell in cells)
            page.Append("<td>").Append(Text(cell)).Append("</td>");
        page.Append("</tr>");
    }

    private static string WithError(double? value, double? error) => value is { } v ? $"{Number(v)} ± {(error is { } e && double.IsFinite(e) ? e.ToString("G2", CultureInfo.InvariantCulture) : "?")}" : "";

    private static string Number(double value) => value.ToString("G4", CultureInfo.InvariantCulture);

    private static string Text(string? text) => WebUtility.HtmlEncode(text ?? "");
}
