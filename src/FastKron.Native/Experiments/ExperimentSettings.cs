using System.Text.Json;
using System.Text.Json.Serialization;
using FastKron.Native.Batch;
using FastKron.Native.Formats;

namespace FastKron.Native.Experiments;

/// <summary>What an experiment runs and what it is asked: a file under <c>bench/</c>, or one of a user.</summary>
/// <remarks>Paths of texts and tasks are relative to a folder of data that is named when the experiment is run. A field that is not known is an error.</remarks>
public sealed record ExperimentSettings
{
    private const string ResourcePrefix = "FastKron.Native.Experiments.";

    /// <summary>Heading of the report.</summary>
    [JsonRequired]
    public required string Title { get; set; }

    /// <summary>Calibration text.</summary>
    public IReadOnlyList<string> Calibration { get; set; } = ["self:"];

    /// <summary>Text on which perplexity and KL are measured.</summary>
    [JsonRequired]
    public required string Text { get; set; }

    /// <summary>Tokens of an evaluation block; null for the default.</summary>
    public int? Block { get; set; }

    /// <summary>Use only the first so many blocks; null for all.</summary>
    public int? MaxBlocks { get; set; }

    /// <summary>Tasks whose accuracy is measured.</summary>
    public IReadOnlyList<string> Tasks { get; set; } = [];

    /// <summary>Bits at which tasks are measured; null for all.</summary>
    public IReadOnlyList<double>? TaskBits { get; set; }

    /// <summary>Seeds of the signs with which tasks are measured; null for all.</summary>
    public IReadOnlyList<ulong>? TaskSeeds { get; set; }

    /// <summary>Folder of the task files.</summary>
    public string TaskFolder { get; set; } = "tasks";

    /// <summary>Measure only the first so many documents of each task; null for all.</summary>
    public int? Limit { get; set; }

    /// <summary>Bits per weight.</summary>
    public IReadOnlyList<double> Bits { get; set; } = [2];

    /// <summary>Seeds of the signs, the same for every method.</summary>
    public IReadOnlyList<ulong> RotationSeeds { get; set; } = [0];

    /// <summary>Calibration tokens of rows that list none; null where all that need some do.</summary>
    public int? Tokens { get; set; }

    /// <summary>Gradients a matrix.</summary>
    public int Gradients { get; set; } = 75;

    /// <summary>Longest calibration sequence; null for the default.</summary>
    public int? Context { get; set; }

    /// <summary>Seed of labels and sampled text.</summary>
    public ulong Seed { get; set; }

    /// <summary>How every row is rounded that does not say it: default or published; null for the method's own.</summary>
    public string? Rounding { get; set; }

    /// <summary>What readers of the table should know of its rows.</summary>
    public string? Notes { get; set; }

    /// <summary>Share in which matrices make up for moved inputs, by every method that has calibration tokens and does not say it; 0 rounds each on its own. Null for the rounding's own.</summary>
    public double? Propagate { get; set; }

    /// <summary>The rows.</summary>
    [JsonRequired]
    public required IReadOnlyList<ExperimentRow> Rows { get; set; }

    /// <summary>Names of the lines with which every line is compared.</summary>
    public IReadOnlyList<string> Rivals { get; set; } = [];

    /// <summary>What the numbers decide.</summary>
    public IReadOnlyList<ExperimentClaim> Claims { get; set; } = [];

    /// <summary>Names of the settings that are part of the program.</summary>
    public static IReadOnlyList<string> Known { get; } =
        [.. typeof(ExperimentSettings).Assembly.GetManifestResourceNames().Where(name => name.StartsWith(ResourcePrefix, StringComparison.Ordinal)).Select(name => name[ResourcePrefix.Length..^".json".Length])];

    /// <summary>The lines of the table, in order.</summary>
    [JsonIgnore]
    public IEnumerable<ExperimentVariant> Variants => Rows.SelectMany(LinesOf);

    /// <summary>Reads settings.</summary>
    /// <param name="nameOrFile">A known name, or a file that ends with .json.</param>
    /// <exception cref="ArgumentException">Neither.</exception>
    /// <exception cref="InvalidDataException">Not JSON, an unknown field or value: path, line, found, expected.</exception>
    public static ExperimentSettings Read(string nameOrFile)
    {
        if (nameOrFile.EndsWith(".json", StringComparison.Ordinal))
            return Parse(nameOrFile, File.Exists(nameOrFile) ? File.ReadAllBytes(nameOrFile) : throw new InvalidDataException($"{nameOrFile}: found no such file, expected settings of an experiment"));
        using Stream resource = typeof(ExperimentSettings).Assembly.GetManifestResourceStream($"{ResourcePrefix}{nameOrFile}.json")
            ?? throw new ArgumentException($"experiment {nameOrFile}: expected {string.Join(", ", Known)} or a file that ends with .json");
        byte[] json = new byte[resource.Length];
        resource.ReadExactly(json);
        return Parse(nameOrFile, json);
    }

    private static ExperimentSettings Parse(string path, byte[] json)
    {
        const string Cure = "correct the file";
        ExperimentSettings settings;
        try
        {
            settings = JsonSerializer.Deserialize(json, ExperimentJson.Default.ExperimentSettings) ?? throw MalformedFile.In(path, "file", "null", "an object", Cure);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: line {e.LineNumber + 1}: {e.Message.ReplaceLineEndings(" ")} Expected settings such as bench/published.json; {Cure}", e);
        }
        return settings.Problem() is { } problem ? throw MalformedFile.In(path, problem.Field, problem.Found, problem.Expected, Cure) : settings;
    }

    // The first value that fits nothing, or null; what a row becomes is checked as an entry of a batch.
    private (string Field, string Found, string Expected)? Problem()
    {
        if (Rows.Count == 0)
            return ("rows", "none", "at least one");
        for (int i = 0; i < Rows.Count; i++)
        {
            ExperimentRow row = Rows[i];
            if (row.Name.Length == 0 || row.Name.Any(c => !char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c is not ('.' or '-' or '@')))
                return ($"rows[{i}].name", $"'{row.Name}'", "lower-case letters, digits, dots, hyphens and @");
            foreach (ExperimentVariant variant in LinesOf(row))
            {
                BatchEntry entry = Entry("model", ".", variant);
                if (entry.Problem() is { } problem)
                    return ($"rows[{i}].{problem.Field}", problem.Found, problem.Expected);
                if (HasFactors(row) == (variant.Tokens is null))
                    return ($"rows[{i}].tokens", variant.Tokens is null ? "none" : $"{variant.Tokens}", variant.Tokens is null ? "calibration tokens" : $"none for the method {row.Method}");
            }
        }
        string[] lines = [.. Variants.Select(v => v.Name)];
        if (lines.GroupBy(name => name).FirstOrDefault(g => g.Count() > 1)?.Key is { } twice)
            return ("rows", $"{twice} twice", "every line once");
        foreach ((string field, string name) in Rivals.Select(r => ("rivals", r)).Concat(Claims.SelectMany(c => new[] { ("claims.line", c.Line), ("claims.against", c.Against) })))
        {
            if (!lines.Contains(name))
                return (field, $"'{name}'", $"one of {string.Join(", ", lines)}");
        }
        return null;
    }

    private static bool HasFactors(ExperimentRow row) => row.Method is not (BatchMethods.Original or BatchMethods.None);

    private IEnumerable<ExperimentVariant> LinesOf(ExperimentRow row) =>
        row.Tokens.Count == 0 ? [new ExperimentVariant(row, HasFactors(row) ? Tokens : null)] : row.Tokens.Select(tokens => new ExperimentVariant(row, tokens));

    /// <summary>What a line is as an entry of a batch.</summary>
    /// <param name="model">Folder of the model.</param>
    /// <param name="data">Folder of texts and tasks.</param>
    /// <param name="variant">The line.</param>
    internal BatchEntry Entry(string model, string data, ExperimentVariant variant)
    {
        bool original = variant.Row.Method == BatchMethods.Original;
        return new BatchEntry
        {
            Model = model,
            Methods = [variant.Row.Method],
            Bits = original ? [16] : variant.Row.Bits ?? Bits,
            RotationSeeds = original ? [Seed] : variant.Row.RotationSeeds ?? RotationSeeds,
            MeasureOnly = true,
            Rounding = variant.Row.Rounding ?? Rounding,
            Options = variant.Row.Options,
            Propagate = !HasFactors(variant.Row) ? 0 : variant.Row.Propagate ?? Propagate,
            Calibration = [.. Calibration.Select(In)],
            Tokens = variant.Tokens ?? 1,
            Gradients = variant.Row.Gradients ?? Gradients,
            HalfSteps = variant.Row.HalfSteps,
            Context = variant.Row.Context ?? Context,
            Seed = Seed,
            Evaluate = In(Text),
            Block = Block,
            MaxBlocks = MaxBlocks,
            Tasks = Tasks,
            TaskBits = original ? null : TaskBits,
            TaskSeeds = original ? null : TaskSeeds,
            TaskFolder = In(TaskFolder),
            Limit = Limit,
        };

        string In(string path) => path.StartsWith("self:", StringComparison.Ordinal) ? path : Path.Combine(data, path);
    }
}

/// <summary>Source-generated JSON of experiments.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    AllowDuplicateProperties = false,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    WriteIndented = true)]
[JsonSerializable(typeof(ExperimentSettings))]
[JsonSerializable(typeof(ExperimentTable))]
public sealed partial class ExperimentJson : JsonSerializerContext;
