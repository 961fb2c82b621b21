using System.Globalization;
using System.Net;
using System.Text;

namespace FastKron.Native.Reports;

/// <summary>A small line chart as an SVG element: one line per series, with error bars where points have errors; linear or logarithmic axes.</summary>
/// <param name="title">Heading.</param>
/// <param name="xLabel">Name of x; on a linear axis its values are integers.</param>
/// <param name="yLabel">Name and unit of y.</param>
/// <param name="logarithmic">Whether y is logarithmic.</param>
/// <param name="logarithmicX">Whether x is: then its ticks are the values that occur, in thousands.</param>
internal sealed class SvgChart(string title, string xLabel, string yLabel, bool logarithmic, bool logarithmicX = false)
{
    private const int Width = 640, Height = 300, Left = 72, Top = 34, Bottom = 40;

    // What a page's style sheet says, for a chart that is a file of its own.
    private const string OwnStyle = "<style>svg{font:12px system-ui,sans-serif;fill:#333;background:#fff}.t{font-weight:600;font-size:13px}.g{stroke:#e4e4e4}.y{text-anchor:end}.x{text-anchor:middle}</style>";

    internal static readonly string[] Colours = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777"];

    private readonly List<(string Name, IReadOnlyList<(double X, double Y, double Error)> Points)> _series = [];

    /// <summary>Adds a line; points that are not finite (or not positive on a logarithmic axis) are left out.</summary>
    public void Add(string name, IEnumerable<(double X, double Y)> points) => Add(name, points.Select(p => (p.X, p.Y, 0.0)));

    /// <summary>Adds a line of points with their errors; an error that is not finite is not drawn.</summary>
    public void Add(string name, IEnumerable<(double X, double Y, double Error)> points)
    {
        (double X, double Y, double Error)[] kept = [.. points.Where(p => double.IsFinite(p.Y) && (!logarithmic || p.Y > 0)).Select(p => (p.X, p.Y, double.IsFinite(p.Error) ? p.Error : 0))];
        if (kept.Length > 0)
            _series.Add((name, kept));
    }

    /// <summary>The SVG element, or an empty string when there is nothing to draw.</summary>
    /// <param name="standalone">Whether it is to be a file of its own.</param>
    public string Draw(bool standalone = false)
    {
        if (_series.Count == 0)
            return "";
        (double X, double Y, double Error)[] points = [.. _series.SelectMany(s => s.Points)];
        int right = Math.Max(96, 24 + 7 * _series.Max(s => s.Name.Length));       // the names stand there
        double[] xs = [.. points.Select(p => ScaleX(p.X))];
        double xMin = xs.Min(), xMax = xs.Max() > xMin ? xs.Max() : xMin + 1;
        double[] ticks = TicksY(points.Min(p => p.Y), points.Max(p => p.Y + p.Error));
        double yMin = Scale(ticks[0]), yMax = Scale(ticks[^1]);
        double X(double x) => Left + (ScaleX(x) - xMin) / (xMax - xMin) * (Width - Left - right);
        double Y(double scaled) => Height - Bottom - (scaled - yMin) / (yMax - yMin) * (Height - Top - Bottom);

        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg {(standalone ? "xmlns=\"http://www.w3.org/2000/svg\" " : "")}viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-label=\"{Text(title)}\">");
        svg.Append(standalone ? OwnStyle : "");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left}\" y=\"18\" class=\"t\">{Text(title)}</text>");
        foreach (double tick in ticks)
        {
            double y = Y(Scale(tick));
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{Left}\" x2=\"{Width - right}\" y1=\"{y:F1}\" y2=\"{y:F1}\" class=\"g\"/>");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left - 6}\" y=\"{y + 4:F1}\" class=\"y\">{Number(tick)}</text>");
        }
        foreach ((double x, string label) in TicksX(points, xMin, xMax))
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(x):F1}\" y=\"{Height - Bottom + 16}\" class=\"x\">{label}</text>");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{(Left + Width - right) / 2}\" y=\"{Height - 6}\" class=\"x\">{Text(xLabel)}</text>");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"12\" y=\"{(Top + Height - Bottom) / 2}\" class=\"x\" transform=\"rotate(-90 12 {(Top + Height - Bottom) / 2})\">{Text(yLabel)}</text>");
        for (int i = 0; i < _series.Count; i++)
        {
            string colour = Colours[i % Colours.Length], dash = i < Colours.Length ? "" : " stroke-dasharray=\"5 3\"";
            string line = string.Join(' ', _series[i].Points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{X(p.X):F1},{Y(Scale(p.Y)):F1}")));
            svg.Append(CultureInfo.InvariantCulture, $"<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"{dash}/>");
            foreach ((double x, double y, double error) in _series[i].Points)
            {
                double low = logarithmic && y <= error ? yMin : Scale(y - error);
                if (error > 0)
                    svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{X(x):F1}\" x2=\"{X(x):F1}\" y1=\"{Y(low):F1}\" y2=\"{Y(Scale(y + error)):F1}\" stroke=\"{colour}\" stroke-width=\"1.2\"/>");
                string spread = error > 0 ? $" ± {Number(error)}" : "";
                svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{X(x):F1}\" cy=\"{Y(Scale(y)):F1}\" r=\"2.6\" fill=\"{colour}\"><title>{Text(_series[i].Name)} {x:F0}: {Number(y)}{spread}</title></circle>");
            }
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width - right + 14}\" y=\"{Top + 14 + 18 * i}\" fill=\"{colour}\">{Text(_series[i].Name)}</text>");
        }
        return svg.Append("</svg>").ToString();
    }

    private IEnumerable<(double X, string Label)> TicksX((double X, double Y, double Error)[] points, double xMin, double xMax)
    {
        if (logarithmicX)
            return points.Select(p => p.X).Distinct().Order().Select(x => (x, string.Create(CultureInfo.InvariantCulture, $"{x / 1000:G4}K")));
        double step = Math.Max(1, Math.Ceiling((xMax - xMin) / 10));
        return Enumerable.Range(0, (int)((xMax - xMin) / step) + 1).Select(i => xMin + i * step).Select(x => (x, x.ToString("F0", CultureInfo.InvariantCulture)));
    }

    private double[] TicksY(double low, double high)
    {
        if (logarithmic)
            return AxisTicks.Logarithmic(low, high);
        low = Math.Min(0, low);
        return AxisTicks.Linear(low, high > low ? high : low + 1);
    }

    private double Scale(double y) => logarithmic ? Math.Log10(y) : y;

    private double ScaleX(double x) => logarithmicX ? Math.Log10(x) : x;

    private static string Number(double value) => value.ToString(Math.Abs(value) is >= 1e-3 and < 1e5 or 0 ? "G3" : "0.#e+0", CultureInfo.InvariantCulture);

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
