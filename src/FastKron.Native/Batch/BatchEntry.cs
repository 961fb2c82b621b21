using System.Globalization;
using System.Text.Json.Serialization;

namespace FastKron.Native.Batch;

/// <summary>One model with the methods and rates that are wanted of it; the defaults are those of <c>fastkron quantize</c>.</summary>
/// <remarks>Settable throughout: source-generated reading takes an absent init-only property for the type's default and not for the one written here.</remarks>
public sealed record BatchEntry
{
    internal const string DefaultRounding = "default", PublishedRounding = "published";

    /// <summary>Hugging Face folder of the original.</summary>
    [JsonRequired]
    public required string Model { get; set; }

    /// <summary>First part of the jobs' names; null for the name of the model's folder.</summary>
    public string? Name { get; set; }

    /// <summary>See <see cref="BatchMethods"/>.</summary>
    public IReadOnlyList<string> Methods { get; set; } = ["likelihood"];

    /// <summary>2, 3 or 4, or averages between them such as 2.5; 16 for the method original.</summary>
    public IReadOnlyList<double> Bits { get; set; } = [2];

    /// <summary>qtip or dense.</summary>
    public string Format { get; set; } = "qtip";

    /// <summary>Linears left dense.</summary>
    public IReadOnlyList<string> Skip { get; set; } = [];

    /// <summary>Folder of factors to use for every method but none; null to make them, once for all rates.</summary>
    public string? FactorsFrom { get; set; }

    /// <summary>Calibration text.</summary>
    public IReadOnlyList<string> Calibration { get; set; } = ["self:"];

    /// <summary>Calibration tokens.</summary>
    public int Tokens { get; set; } = 712_500;

    /// <summary>Gradients a matrix.</summary>
    public int Gradients { get; set; } = 75;

    /// <summary>Half-steps of likelihood, power and per-sequence; null for the default.</summary>
    public int? HalfSteps { get; set; }

    /// <summary>Longest calibration sequence; null for the default.</summary>
    public int? Context { get; set; }

    /// <summary>Seed of signs, labels and sampled text.</summary>
    public ulong Seed { get; set; }

    /// <summary>Seeds of the signs: a job for each, from the same factors. Null for one job with <see cref="Seed"/>.</summary>
    public IReadOnlyList<ulong>? RotationSeeds { get; set; }

    /// <summary>default, or published: matrices as they are, scales of channels not fitted, inputs not propagated. Null for default, but published for the method published.</summary>
    public string? Rounding { get; set; }

    /// <summary>Options of rounding that differ from those; null for none.</summary>
    public RoundingOverrides? Options { get; set; }

    /// <summary>Share in which matrices make up for moved inputs; null for the default, 0 for the method published.</summary>
    public double? Propagate { get; set; }

    /// <summary>Whether results are only measured: each job leaves what it measured and no model.</summary>
    public bool MeasureOnly { get; set; }

    /// <summary>Text to measure original and result on; null for none.</summary>
    public string? Evaluate { get; set; }

    /// <summary>Tokens of an evaluation block; null for the default.</summary>
    public int? Block { get; set; }

    /// <summary>Use only the first so many blocks; null for all.</summary>
    public int? MaxBlocks { get; set; }

    /// <summary>Tasks to measure the result on.</summary>
    public IReadOnlyList<string> Tasks { get; set; } = [];

    /// <summary>Bits of the results that are measured on the tasks; null for all.</summary>
    public IReadOnlyList<double>? TaskBits { get; set; }

    /// <summary>Seeds of the signs of the results that are measured on the tasks; null for all.</summary>
    public IReadOnlyList<ulong>? TaskSeeds { get; set; }

    /// <summary>Folder of task files that are named without a path.</summary>
    public string TaskFolder { get; set; } = "tasks";

    /// <summary>Measure only the first so many documents of each task; null for all.</summary>
    public int? Limit { get; set; }

    /// <summary>First part of the jobs' names.</summary>
    internal string Label => Name ?? Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(Model)));

    /// <summary>Whether the results of another entry are measured on the same original, text and tasks.</summary>
    internal bool IsMeasuredLike(BatchEntry other) =>
        (Path.GetFullPath(Model), Evaluate, Block, MaxBlocks, TaskFolder, Limit, Seed) == (Path.GetFullPath(other.Model), other.Evaluate, other.Block, other.MaxBlocks, other.TaskFolder, other.Limit, other.Seed)
        && Tasks.SequenceEqual(other.Tasks);

    /// <summary>The first value out of range, or null.</summary>
    internal (string Field, string Found, string Expected)? Problem()
    {
        if (Label.Length == 0 || Label.AsSpan().ContainsAny(Path.GetInvalidFileNameChars()) || Label is "." or "..")
            return ("name", $"'{Label}'", "the name of a folder");
        if (Methods.FirstOrDefault(method => !BatchMethods.Names.Contains(method)) is { } unknown)
            return ("methods", $"'{unknown}'", $"{string.Join(", ", BatchMethods.Names)}");
        if (Methods.Count == 0 || Bits.Count == 0)
            return (Methods.Count == 0 ? "methods" : "bits", "none", "at least one");
        bool original = Methods.Contains(BatchMethods.Original);
        if (original && (Methods.Count > 1 || Bits is not [16] || !MeasureOnly))
            return ("methods", $"{BatchMethods.Original} with other methods or bits, or without measure_only", $"{BatchMethods.Original} alone at 16 bits, which is only measured");
        if (!original && Bits.FirstOrDefault(bits => bits is not (>= 2 and <= 4), 2) is var bad && bad != 2)
            return ("bits", string.Create(CultureInfo.InvariantCulture, $"{bad}"), "numbers from 2 to 4");
        if (HalfSteps is not null && !Methods.Any(BatchMethods.TakesHalfSteps))
            return ("half_steps", $"{HalfSteps}", $"none with {string.Join(", ", Methods)}, of which it changes nothing");
        if (Rounding is not (null or DefaultRounding or PublishedRounding))
            return ("rounding", $"'{Rounding}'", $"{DefaultRounding} or {PublishedRounding}");
        if (RotationSeeds?.Count == 0)
            return ("rotation_seeds", "none", "at least one");
        if (Evaluate is null && (MeasureOnly || Tasks.Count > 0))
            return ("evaluate", "none", "a text, as measure_only and tasks need");
        if (Propagate is { } share && share is not (>= 0 and <= 1))
            return ("propagate", string.Create(CultureInfo.InvariantCulture, $"{share}"), "a number from 0 to 1");
        if (Format is not ("qtip" or "dense"))
            return ("format", $"'{Format}'", "qtip or dense");
        if (Options?.Problem() is { } problem)
            return problem;
        (string, int?, int)[] numbers =
        [
            ("tokens", Tokens, 1), ("gradients", Gradients, 1), ("half_steps", HalfSteps, 1), ("context", Context, 1), ("block", Block, 4), ("max_blocks", MaxBlocks, 1), ("limit", Limit, 1),
        ];
        foreach ((string field, int? value, int minimum) in numbers)
        {
            if (value < minimum)
                return (field, $"{value}", $"at least {minimum}");
        }
        return null;
    }
}
