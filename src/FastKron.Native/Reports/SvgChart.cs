using System.Globalization;
using System.Net;
using System.Text;

namespace FastKron.Native.Reports;

/// <summary>A small line chart as an SVG element: one line per series over integer x, linear or logarithmic y.</summary>
internal sealed class SvgChart(string title, string xLabel, string yLabel, bool logarithmic)
{
    private const int Width = 640, Height = 300, Left = 64, Right = 96, Top = 34, Bottom = 40;

    internal static readonly string[] Colours = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777"];

    private readonly List<(string Name, IReadOnlyList<(double X, double Y)> Points)> _series = [];

    /// <summary>Adds a line; points that are not finite (or not positive on a logarithmic axis) are left out.</summary>
    public void Add(string name, IEnumerable<(double X, double Y)> points)
    {
        (double X, double Y)[] kept = [.. points.Where(p => double.IsFinite(p.Y) && (!logarithmic || p.Y > 0))];
        if (kept.Length > 0)
            _series.Add((name, kept));
    }

    /// <summary>The SVG element, or an empty string when there is nothing to draw.</summary>
    public string Draw()
    {
        if (_series.Count == 0)
            return "";
        double[] xs = [.. _series.SelectMany(s => s.Points).Select(p => p.X)], ys = [.. _series.SelectMany(s => s.Points).Select(p => Scale(p.Y))];
        double xMin = xs.Min(), xMax = Math.Max(xs.Max(), xMin + 1);
        double yMin = logarithmic ? Math.Floor(ys.Min()) : Math.Min(0, ys.Min()), yMax = logarithmic ? Math.Ceiling(ys.Max()) : ys.Max();
        if (yMax <= yMin)
            yMax = yMin + 1;
        double X(double x) => Left + (x - xMin) / (xMax - xMin) * (Width - Left - Right);
        double Y(double scaled) => Height - Bottom - (scaled - yMin) / (yMax - yMin) * (Height - Top - Bottom);

        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-label=\"{Text(title)}\">");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left}\" y=\"18\" class=\"t\">{Text(title)}</text>");
        for (int tick = 0; tick <= 4; tick++)
        {
            double scaled = yMin + (yMax - yMin) * tick / 4, y = Y(scaled);
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{y:F1}\" y2=\"{y:F1}\" class=\"g\"/>");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left - 6}\" y=\"{y + 4:F1}\" class=\"y\">{Number(logarithmic ? Math.Pow(10, scaled) : scaled)}</text>");
        }
        double step = Math.Max(1, Math.Ceiling((xMax - xMin) / 10));
        for (double x = xMin; x <= xMax; x += step)
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(x):F1}\" y=\"{Height - Bottom + 16}\" class=\"x\">{x:F0}</text>");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 6}\" class=\"x\">{Text(xLabel)}</text>");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"14\" y=\"{(Top + Height - Bottom) / 2}\" class=\"x\" transform=\"rotate(-90 14 {(Top + Height - Bottom) / 2})\">{Text(yLabel)}</text>");
        for (int i = 0; i < _series.Count; i++)
        {
            string colour = Colours[i % Colours.Length];
            string points = string.Join(' ', _series[i].Points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{X(p.X):F1},{Y(Scale(p.Y)):F1}")));
            svg.Append(CultureInfo.InvariantCulture, $"<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"/>");
            foreach ((double x, double y) in _series[i].Points)
                svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{X(x):F1}\" cy=\"{Y(Scale(y)):F1}\" r=\"2.6\" fill=\"{colour}\"><title>{Text(_series[i].Name)} {x:F0}: {Number(y)}</title></circle>");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width - Right + 14}\" y=\"{Top + 14 + 18 * i}\" fill=\"{colour}\">{Text(_series[i].Name)}</text>");
        }
        return svg.Append("</svg>").ToString();
    }

    private double Scale(double y) => logarithmic ? Math.Log10(y) : y;

    private static string Number(double value) => value.ToString(Math.Abs(value) is >= 1e-3 and < 1e5 or 0 ? "G3" : "0.#e+0", CultureInfo.InvariantCulture);

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
