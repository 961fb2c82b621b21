using System.Diagnostics;
using System.Globalization;
using FastKron.Native.Quantization;

namespace FastKron.Native.Cli;

/// <summary>Progress on standard error: one live line in a terminal, a plain line now and then when redirected.</summary>
internal sealed class ProgressDisplay(bool quiet) : IProgress<QuantizationProgress>, IDisposable
{
    private static readonly TimeSpan LiveInterval = TimeSpan.FromMilliseconds(100), PlainInterval = TimeSpan.FromSeconds(10);

    private readonly bool _live = !Console.IsErrorRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "dumb");
    private readonly Lock _gate = new();
    private readonly Stopwatch _sinceLast = Stopwatch.StartNew();
    private QuantizationProgress _first;           // report of the phase in work
    private string? _phase;
    private int _width;

    /// <inheritdoc/>
    public void Report(QuantizationProgress value)
    {
        if (quiet)
            return;
        lock (_gate)
        {
            bool changed = value.Phase != _phase, finished = value.Fraction >= 1;
            if (changed)
                _first = value;
            if (!changed && !finished && _sinceLast.Elapsed < (_live ? LiveInterval : PlainInterval))
                return;
            if (finished && !changed && _phase is null)
                return;
            _sinceLast.Restart();
            string line = Line(value, value.RemainingSince(_first));
            if (_live)
            {
                line = Clip(line, Columns());
                Console.Error.Write("\r" + line.PadRight(_width));
                _width = line.Length;
                if (finished)
                    EndLine();
            }
            else
                Console.Error.WriteLine(line);
            _phase = finished ? null : value.Phase;
        }
    }

    /// <summary>Ends a live line, so that what follows starts on a new one.</summary>
    public void Finish()
    {
        lock (_gate)
            EndLine();
    }

    /// <summary>As <see cref="Finish"/>: a message that ends the command begins on a line of its own.</summary>
    public void Dispose() => Finish();

    private void EndLine()
    {
        if (_live && _width > 0)
            Console.Error.WriteLine();
        _width = 0;
    }

    /// <summary>A time of so many seconds: <c>5.4 s</c>, <c>2:28</c>, <c>1:02:28</c>.</summary>
    public static string Time(double seconds) => Format(TimeSpan.FromSeconds(seconds));

    /// <summary>What of a live line fits: one that wraps could not be overwritten. The last column stays free, where some terminals wrap already.</summary>
    internal static string Clip(string line, int columns) => line.Length < columns ? line : line[..Math.Max(0, columns - 1)];

    private static int Columns()
    {
        try
        {
            return Console.WindowWidth;
        }
        catch (IOException)
        {
            return 80;                   // Windows asks standard output for its width, which may be redirected
        }
    }

    private static string Line(QuantizationProgress p, TimeSpan? remaining)
    {
        string time = p.Fraction < 1 && remaining is { } left ? $"{Format(p.Elapsed)}, {Format(left)} left" : Format(p.Elapsed);
        string error = p.Error is { } e ? string.Create(CultureInfo.InvariantCulture, $" proxy error {e:G3}") : "";
        return string.Create(CultureInfo.InvariantCulture, $"{p.Phase,-12} {100 * p.Fraction,3:F0} %  {time}{(p.Module is null ? "" : $"  {p.Module}{error}")}");
    }

    private static string Format(TimeSpan time) => time.TotalMinutes < 1
        ? string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:F1} s")
        : time.ToString(time.TotalHours < 1 ? @"m\:ss" : @"h\:mm\:ss", CultureInfo.InvariantCulture);
}
