using System.Globalization;
using System.Net;
using System.Text;
using FastKron.Native.Evaluation;

namespace FastKron.Native.Reports;

/// <summary>A small dot plot as an SVG element: a line for each measure, on it a dot with its standard error for each run.</summary>
internal static class SvgDotPlot
{
    private const int Width = 760, Left = 260, Right = 30, Top = 40, RowHeight = 34, Bottom = 34, Ticks = 5;

    /// <summary>The SVG element.</summary>
    public static string Draw(string title, IReadOnlyList<string> runs, IReadOnlyList<ComparedMeasure> measures)
    {
        (double low, double high) = Range(measures);
        int legend = Top + RowHeight * measures.Count + Bottom, height = legend + 20 * runs.Count + 8;
        double X(double value) => Left + (value - low) / (high - low) * (Width - Left - Right);

        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {height}\" role=\"img\" aria-label=\"{Text(title)}\" font-family=\"system-ui,sans-serif\" font-size=\"12\" fill=\"#333\">");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left}\" y=\"18\" font-weight=\"600\">{Text(title)}</text>");
        for (int tick = 0; tick < Ticks; tick++)
        {
            double value = low + (high - low) * tick / (Ticks - 1);
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{X(value):F1}\" x2=\"{X(value):F1}\" y1=\"{Top - 10}\" y2=\"{legend - Bottom + 4}\" stroke=\"#e4e4e4\" class=\"g\"/>");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(value):F1}\" y=\"{legend - Bottom + 18}\" text-anchor=\"middle\">{value:G3}</text>");
        }
        for (int m = 0; m < measures.Count; m++)
        {
            double middle = Top + RowHeight * (m + 0.5);
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left - 10}\" y=\"{middle + 4:F1}\" text-anchor=\"end\">{Text(measures[m].Measure)}</text>");
            for (int run = 0; run < runs.Count; run++)
            {
                if (measures[m].Numbers[run] is not { } number || !double.IsFinite(number.Value))
                    continue;
                double y = middle + (run - (runs.Count - 1) / 2.0) * Math.Min(7, (RowHeight - 8.0) / runs.Count), error = Error(number);
                string colour = Colour(run);
                svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{X(number.Value - error):F1}\" x2=\"{X(number.Value + error):F1}\" y1=\"{y:F1}\" y2=\"{y:F1}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>");
                svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{X(number.Value):F1}\" cy=\"{y:F1}\" r=\"3\" fill=\"{colour}\"><title>{Text(runs[run])}: {number.Value:F4} ± {error:F4}</title></circle>");
            }
        }
        for (int run = 0; run < runs.Count; run++)
            svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{Left}\" cy=\"{legend + 20 * run + 6}\" r=\"3\" fill=\"{Colour(run)}\"/><text x=\"{Left + 10}\" y=\"{legend + 20 * run + 10}\">{Text(runs[run])}</text>");
        return svg.Append("</svg>\n").ToString();
    }

    private static (double Low, double High) Range(IReadOnlyList<ComparedMeasure> measures)
    {
        ComparedNumber[] numbers = [.. measures.SelectMany(m => m.Numbers).OfType<ComparedNumber>().Where(n => double.IsFinite(n.Value))];
        double low = numbers.Min(n => n.Value - Error(n)), high = numbers.Max(n => n.Value + Error(n)), margin = Math.Max(1e-6, 0.04 * (high - low));
        return (low - margin, high + margin);
    }

    private static double Error(ComparedNumber number) => number.Error is { } error && double.IsFinite(error) ? error : 0;

    private static string Colour(int run) => SvgChart.Colours[run % SvgChart.Colours.Length];

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
