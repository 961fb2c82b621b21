using System.Globalization;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Quantization;

namespace FastKron.Native.Batch;

/// <summary>Options of rounding that a job has in place of the default's or the published ones; null keeps those.</summary>
/// <remarks>Settable throughout, as <see cref="BatchEntry"/>.</remarks>
public sealed record RoundingOverrides
{
    /// <summary>hyb, 1mad, 3inst, mcg or mul1.</summary>
    public string? Code { get; set; }

    /// <summary>See <see cref="QuantizationOptions.RelativeScale"/>.</summary>
    public double? RelativeScale { get; set; }

    /// <summary>See <see cref="QuantizationOptions.Equalize"/>.</summary>
    public bool? Equalize { get; set; }

    /// <summary>See <see cref="QuantizationOptions.FitScales"/>.</summary>
    public bool? FitScales { get; set; }

    /// <summary>See <see cref="QuantizationOptions.DampingOut"/>.</summary>
    public double? DampingOut { get; set; }

    /// <summary>See <see cref="QuantizationOptions.DampingIn"/>.</summary>
    public double? DampingIn { get; set; }

    /// <summary>Weights on each side of the seam that the encoder's first pass sees: 128 is the whole tile.</summary>
    public int? Window { get; set; }

    /// <summary>The first value out of range, or null.</summary>
    internal (string Field, string Found, string Expected)? Problem()
    {
        if (Code is { } code && Enum.GetValues<TrellisCode>().All(c => c.ToText() != code))
            return ("options.code", $"'{code}'", string.Join(", ", Enum.GetValues<TrellisCode>().Select(c => c.ToText())));
        if (Window is { } window && (window is < 2 or > TrellisCodebook.TileSize / 2 || window % 2 != 0))
            return ("options.window", $"{window}", $"an even number from 2 to {TrellisCodebook.TileSize / 2}");
        foreach ((string field, double? value) in new[] { ("relative_scale", RelativeScale), ("damping_out", DampingOut), ("damping_in", DampingIn) })
        {
            if (value is { } number && !(number > 0 && double.IsFinite(number)))
                return ($"options.{field}", string.Create(CultureInfo.InvariantCulture, $"{number}"), "a positive number");
        }
        return null;
    }

    internal QuantizationOptions Apply(QuantizationOptions options) => options with
    {
        Code = Code is { } code ? Enum.GetValues<TrellisCode>().First(c => c.ToText() == code) : options.Code,
        RelativeScale = RelativeScale ?? options.RelativeScale,
        Equalize = Equalize ?? options.Equalize,
        FitScales = FitScales ?? options.FitScales,
        DampingOut = DampingOut ?? options.DampingOut,
        DampingIn = DampingIn ?? options.DampingIn,
        Window = Window is { } weights ? new TailBitingWindow(weights) : options.Window,
    };

    /// <summary>What is set, such as <c>code mul1, window 64</c>.</summary>
    public override string ToString()
    {
        (string Name, IFormattable? Value)[] numbers = [("relative_scale", RelativeScale), ("damping_out", DampingOut), ("damping_in", DampingIn), ("window", Window)];
        (string Name, bool? Value)[] switches = [("equalize", Equalize), ("fit_scales", FitScales)];
        return string.Join(", ",
        [
            .. Code is { } code ? [$"code {code}"] : Array.Empty<string>(),
            .. switches.Where(s => s.Value is not null).Select(s => $"{s.Name} {(s.Value!.Value ? "yes" : "no")}"),
            .. numbers.Where(n => n.Value is not null).Select(n => $"{n.Name} {n.Value!.ToString(null, CultureInfo.InvariantCulture)}"),
        ]);
    }
}
