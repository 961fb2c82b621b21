using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using FastKron.Native.Formats;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;

namespace FastKron.Native.Batch;

/// <summary>What a job that is only measured leaves: a file of some ten kilobytes.</summary>
public sealed record BatchMeasurement
{
    /// <summary>Version of this schema.</summary>
    public int FormatVersion { get; init; } = 1;

    /// <summary>Day of the measurement.</summary>
    public required string Date { get; init; }

    /// <summary>Everything that the file of jobs says about it.</summary>
    public required SortedDictionary<string, string> Settings { get; init; }

    /// <summary>What was measured.</summary>
    public required EvaluationReport Evaluation { get; init; }

    /// <summary>Of each task a digit for each document, 1 where the model was right: for paired tests.</summary>
    public required IReadOnlyDictionary<string, string> Right { get; init; }

    /// <summary>How its factors were made; null without.</summary>
    public MeasuredFactors? Factors { get; init; }

    /// <summary>Matrices that were rounded by a weaker method than their factors are for, because one could not be used.</summary>
    public required int Fallbacks { get; init; }

    /// <summary>Wall time of the rounding.</summary>
    public required double RoundingSeconds { get; init; }

    /// <summary>Describes a trial.</summary>
    internal static BatchMeasurement Of(BatchJob job, QuantizationTrial trial, BatchCollection? collection) => new()
    {
        Date = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
        Settings = job.Settings(),
        Evaluation = trial.Evaluation,
        Right = trial.Evaluation.Tasks.Zip(trial.Rows).ToDictionary(pair => pair.First.Task, pair => string.Concat(pair.Second.Select(row => row.Acc)), StringComparer.Ordinal),
        Factors = trial.Factors.Count == 0 ? null : new MeasuredFactors(
            trial.Factors.Max(f => f.Tokens), trial.Factors.Max(f => f.Gradients), trial.Factors.Average(f => f.HalfSteps), collection?.Backend, collection?.Stages),
        Fallbacks = trial.Rounding.Count(r => r.Fallback is not null),
        RoundingSeconds = trial.RoundingSeconds,
    };

    /// <summary>Writes the file; it appears whole or not at all.</summary>
    internal void Write(string path) => AtomicFile.WriteAllBytes(path, JsonSerializer.SerializeToUtf8Bytes(this, MeasurementJson.Default.BatchMeasurement));

    /// <summary>Reads a file.</summary>
    /// <exception cref="InvalidDataException">Not there, or not of this version.</exception>
    public static BatchMeasurement Read(string path)
    {
        try
        {
            BatchMeasurement measurement = JsonSerializer.Deserialize(JsonFields.ReadBytes(path), MeasurementJson.Default.BatchMeasurement) ?? throw new JsonException("null");
            foreach ((string task, string right) in measurement.Right)
            {
                int documents = measurement.Evaluation.Tasks.FirstOrDefault(t => t.Task == task)?.Documents ?? 0;
                if (right.Length != documents || right.AsSpan().ContainsAnyExcept('0', '1'))
                    throw new JsonException(string.Create(CultureInfo.InvariantCulture, $"right.{task}: {right.Length} characters, expected {documents} digits 0 or 1"));
            }
            return measurement;
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: no measurement of this version ({e.Message.ReplaceLineEndings(" ")}); delete it, and the job is measured again", e);
        }
    }
}

/// <summary>How the factors of a measured job were made.</summary>
/// <param name="Tokens">Calibration tokens.</param>
/// <param name="Gradients">K; 0 without gradients.</param>
/// <param name="HalfSteps">Half-steps of the solver, or passes over the data: mean over the matrices.</param>
/// <param name="Backend">What made them; null where that was not kept.</param>
/// <param name="Stages">Seconds of text and factors, for all jobs that share them; null where they were not kept.</param>
public sealed record MeasuredFactors(long Tokens, int Gradients, double HalfSteps, string? Backend, IReadOnlyList<StageReport>? Stages)
{
    /// <summary>Seconds from text to factors; null where they were not kept.</summary>
    [JsonIgnore]
    public double? Seconds => Stages?.Sum(stage => stage.Seconds);
}

/// <summary>What is kept beside a collection of factors.</summary>
/// <param name="Backend">What made them.</param>
/// <param name="Stages">Its seconds.</param>
internal sealed record BatchCollection(string Backend, IReadOnlyList<StageReport> Stages)
{
    /// <summary>Keeps it beside the folder of the factors.</summary>
    public void Write(string factors) => AtomicFile.WriteAllBytes(PathOf(factors), JsonSerializer.SerializeToUtf8Bytes(this, MeasurementJson.Default.BatchCollection));

    /// <summary>What was kept; null if the process ended between the factors and this.</summary>
    public static BatchCollection? Find(string factors) =>
        File.Exists(PathOf(factors)) ? JsonSerializer.Deserialize(File.ReadAllBytes(PathOf(factors)), MeasurementJson.Default.BatchCollection) : null;

    /// <summary>Deletes factors and what was kept of them.</summary>
    public static void Delete(string factors)
    {
        Directory.Delete(factors, recursive: true);
        File.Delete(PathOf(factors));
    }

    private static string PathOf(string factors) => factors + ".json";
}

/// <summary>Source-generated JSON of measurements.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(BatchMeasurement))]
[JsonSerializable(typeof(BatchCollection))]
internal sealed partial class MeasurementJson : JsonSerializerContext;
