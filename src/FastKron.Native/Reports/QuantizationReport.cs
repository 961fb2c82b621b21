using System.Globalization;
using System.Text.Json.Serialization;
using FastKron.Native.Evaluation;
using FastKron.Native.Fisher;
using FastKron.Native.Quantization;

namespace FastKron.Native.Reports;

/// <summary>Everything that one quantize run tells: written as report.json, drawn as report.html.</summary>
public sealed record QuantizationReport
{
    /// <summary>Version of this schema.</summary>
    public int FormatVersion { get; init; } = 1;

    /// <summary>Engine version and commit.</summary>
    public required string Engine { get; init; }

    /// <summary>What ran the operations.</summary>
    public required string Backend { get; init; }

    /// <summary>Path of the original model.</summary>
    public required string Model { get; init; }

    /// <summary>Path of the result.</summary>
    public required string Output { get; init; }

    /// <summary>Everything that can change the output bytes, by option name: the job's fingerprint.</summary>
    public required IReadOnlyDictionary<string, string> Job { get; init; }

    /// <summary>Calibration text; null without calibration.</summary>
    public CalibrationReport? Calibration { get; init; }

    /// <summary>One entry per quantized linear, in model order.</summary>
    public required IReadOnlyList<LinearReport> Linears { get; init; }

    /// <summary>Linears left dense.</summary>
    public required IReadOnlyList<string> Skipped { get; init; }

    /// <summary>Sizes.</summary>
    public required SizeReport Size { get; init; }

    /// <summary>Steps that an earlier run of the same job had finished, whose seconds are not in <see cref="Stages"/>.</summary>
    public int ResumedSteps { get; init; }

    /// <summary>Seconds per stage, in order.</summary>
    public required IReadOnlyList<StageReport> Stages { get; init; }

    /// <summary>Measured quality; null when none was asked for.</summary>
    public EvaluationReport? Evaluation { get; init; }

    /// <summary>The matrices with the largest proxy errors and those errors, in words, the worst first.</summary>
    /// <param name="count">How many.</param>
    public string LargestErrors(int count) => string.Join(", ", Linears.OrderByDescending(l => l.Rounding.ProxyError).Take(count)
        .Select(l => string.Create(CultureInfo.InvariantCulture, $"{l.Layer}_{l.Kind} {l.Rounding.ProxyError:G3}")));
}

/// <summary>The calibration text of a run.</summary>
/// <param name="Source">Files or <c>self:TOKENS</c>.</param>
/// <param name="Tokens">Tokens used.</param>
/// <param name="Documents">Documents they came from.</param>
/// <param name="Hash">SHA-256 of the ids.</param>
public sealed record CalibrationReport(string Source, long Tokens, int Documents, string Hash);

/// <summary>One quantized linear.</summary>
/// <param name="Name">Module path.</param>
/// <param name="Layer">Number of its block.</param>
/// <param name="Kind">q, k, v, o, gate, up or down.</param>
/// <param name="Rows">m.</param>
/// <param name="Columns">n.</param>
/// <param name="CodeBits">Bits per weight of the codes.</param>
/// <param name="StoredBits">Bits per weight of everything stored for it.</param>
/// <param name="Rounding">Errors and seconds.</param>
/// <param name="Factors">How its factors were made; null without factors.</param>
public sealed record LinearReport(
    string Name, int Layer, string Kind, int Rows, int Columns, double CodeBits, double StoredBits, RoundingStatistics Rounding, FactorEvidence? Factors);

/// <summary>Sizes before and after.</summary>
/// <param name="QuantizedParameters">Weights that were quantized.</param>
/// <param name="CodeBits">Bits per quantized weight of the codes alone.</param>
/// <param name="StoredBits">Bits per quantized weight of everything stored for the quantized linears.</param>
/// <param name="OriginalBytes">Bytes of the original's safetensors files.</param>
/// <param name="OutputBytes">Bytes of the result's safetensors files.</param>
/// <param name="Parameters">All weights of the model; 0 in reports of earlier versions.</param>
public sealed record SizeReport(long QuantizedParameters, double CodeBits, double StoredBits, long OriginalBytes, long OutputBytes, long Parameters = 0)
{
    /// <summary>Bits per weight of the original, everything in its files counted.</summary>
    public double OriginalBits => 8.0 * OriginalBytes / Parameters;

    /// <summary>Bits per weight of the result, embedding, norms and headers counted.</summary>
    public double OutputBits => 8.0 * OutputBytes / Parameters;

    /// <summary>Share of the original's bytes that the result has.</summary>
    public double Ratio => (double)OutputBytes / OriginalBytes;
}

/// <summary>One stage of a run.</summary>
/// <param name="Name">calibration, factors, rounding, writing, checking, evaluation.</param>
/// <param name="Seconds">Wall time of this process; a resumed run counts only what it did itself.</param>
/// <param name="Parts">What the device and the disk did meanwhile, which may overlap; null where the stage has no parts.</param>
public sealed record StageReport(string Name, double Seconds, IReadOnlyList<StageReport>? Parts = null)
{
    /// <summary>Parts that took long enough to show.</summary>
    public IEnumerable<StageReport> LastingParts() => Parts?.Where(part => part.Seconds >= 0.05) ?? [];
}

/// <summary>Source-generated JSON of reports.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(QuantizationReport))]
[JsonSerializable(typeof(PlanReport))]
[JsonSerializable(typeof(EvaluationReport))]
[JsonSerializable(typeof(RoundingStatistics))]
[JsonSerializable(typeof(RunComparison))]
public sealed partial class ReportJson : JsonSerializerContext;
