using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using FastKron.Native.Formats;

namespace FastKron.Native.Batch;

/// <summary>A file of jobs: models × methods × bits.</summary>
/// <remarks>
/// <code>
/// {
///   "output": "results",
///   "jobs": [ { "model": "models/tiny-llama", "methods": ["none", "activation", "likelihood"], "bits": [2, 3, 4], "evaluate": "self:16384" } ]
/// }
/// </code>
/// Paths are as on the command line: relative to the current folder. A field that is not known is an error.
/// </remarks>
public sealed record BatchFile
{
    /// <summary>Folder for the results, the factors and the settings of all jobs.</summary>
    [JsonRequired]
    public required string Output { get; init; }

    /// <summary>The entries.</summary>
    [JsonRequired]
    public required IReadOnlyList<BatchEntry> Jobs { get; init; }

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">Missing, not JSON, an unknown field or value: path, line, found, expected.</exception>
    public static BatchFile Read(string path)
    {
        const string Cure = "correct the file";
        BatchFile file;
        try
        {
            file = JsonSerializer.Deserialize(JsonFields.ReadBytes(path, "give a file of jobs as fastkron batch --help shows"), BatchJson.Default.BatchFile) ?? throw MalformedFile.In(path, "file", "null", "an object", Cure);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException(
                $"{path}: line {e.LineNumber + 1}: {e.Message.ReplaceLineEndings(" ")} Expected \"output\" and \"jobs\" as fastkron batch --help shows; {Cure}", e);
        }
        if (file.Jobs.Count == 0)
            throw MalformedFile.In(path, "jobs", "none", "at least one", Cure);
        for (int i = 0; i < file.Jobs.Count; i++)
        {
            if (file.Jobs[i] is null)
                throw MalformedFile.In(path, $"jobs[{i}]", "null", "an object", Cure);
            if (file.Jobs[i].Problem() is { } problem)
                throw MalformedFile.In(path, $"jobs[{i}].{problem.Field}", problem.Found, problem.Expected, Cure);
        }
        if (file.Expand().CountBy(job => job.Name, StringComparer.OrdinalIgnoreCase).FirstOrDefault(pair => pair.Value > 1).Key is { } twice)
            throw MalformedFile.In(path, "jobs", $"{twice} twice", "every job once", "leave one out, or give an entry a \"name\" of its own");
        return file;
    }

    /// <summary>All jobs in order: entry by entry, method by method, bits by bits, seed by seed.</summary>
    public IReadOnlyList<BatchJob> Expand() =>
    [
        .. from entry in Jobs
           from method in entry.Methods
           from bits in entry.Bits
           from seed in entry.RotationSeeds ?? [entry.Seed]
           let name = string.Create(CultureInfo.InvariantCulture, $"{entry.Label}-{method}-{bits}bit")
           select new BatchJob(Output, entry, method, bits, seed, entry.RotationSeeds is null ? name : string.Create(CultureInfo.InvariantCulture, $"{name}-seed{seed}")),
    ];
}

/// <summary>How batch files are read and summaries written.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    AllowDuplicateProperties = false,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(BatchFile))]
[JsonSerializable(typeof(IReadOnlyList<BatchResult>))]
[JsonSerializable(typeof(IReadOnlyList<BatchCost>))]
public sealed partial class BatchJson : JsonSerializerContext;
