using System.Globalization;
using System.Text.Json.Serialization;
using FastKron.Native.Batch;

namespace FastKron.Native.Experiments;

/// <summary>A row of an experiment's table: one method, at one or more numbers of calibration tokens.</summary>
/// <remarks>Settable throughout, as <see cref="BatchEntry"/>.</remarks>
public sealed record ExperimentRow
{
    /// <summary>Name in tables and records: lower-case letters, digits, dots, hyphens and @.</summary>
    [JsonRequired]
    public required string Name { get; set; }

    /// <summary>See <see cref="BatchMethods"/>.</summary>
    [JsonRequired]
    public required string Method { get; set; }

    /// <summary>Calibration tokens, a line of the table for each; empty for the settings', and for methods without factors.</summary>
    public IReadOnlyList<int> Tokens { get; set; } = [];

    /// <summary>Gradients a matrix; null for the settings'.</summary>
    public int? Gradients { get; set; }

    /// <summary>Half-steps of likelihood, power and per-sequence; null for the default.</summary>
    public int? HalfSteps { get; set; }

    /// <summary>Longest calibration sequence; null for the settings'.</summary>
    public int? Context { get; set; }

    /// <summary>default or published; null for the settings'.</summary>
    public string? Rounding { get; set; }

    /// <summary>Options of rounding that differ from those; null for none.</summary>
    public RoundingOverrides? Options { get; set; }

    /// <summary>Share in which matrices make up for moved inputs; null for the settings'.</summary>
    public double? Propagate { get; set; }

    /// <summary>Bits per weight; null for the settings'.</summary>
    public IReadOnlyList<double>? Bits { get; set; }

    /// <summary>Seeds of the signs; null for the settings'.</summary>
    public IReadOnlyList<ulong>? RotationSeeds { get; set; }
}

/// <summary>A row at one number of tokens: a line of the table.</summary>
/// <param name="Row">The row.</param>
/// <param name="Tokens">Calibration tokens; null without factors.</param>
public sealed record ExperimentVariant(ExperimentRow Row, int? Tokens)
{
    /// <summary>Name of the line: the row's, and its tokens where the row lists them, such as <c>sketch-a@700K</c>.</summary>
    public string Name => Row.Tokens.Count == 0 || Tokens is not { } tokens ? Row.Name
        : string.Create(CultureInfo.InvariantCulture, $"{Row.Name}@{(tokens >= 1000 && tokens % 100 == 0 ? $"{(tokens / 1000.0).ToString(CultureInfo.InvariantCulture)}K" : tokens.ToString(CultureInfo.InvariantCulture))}");
}
