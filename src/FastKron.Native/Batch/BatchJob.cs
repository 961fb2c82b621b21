using System.Globalization;
using FastKron.Native.Evaluation;
using FastKron.Native.Fisher;
using FastKron.Native.Quantization;

namespace FastKron.Native.Batch;

/// <summary>One model by one method at one rate, with one seed of its signs.</summary>
/// <param name="Folder">Folder of the results.</param>
/// <param name="Entry">Where it stands in the file.</param>
/// <param name="Method">See <see cref="BatchMethods"/>.</param>
/// <param name="Bits">Bits per weight.</param>
/// <param name="Seed">Seed of the signs.</param>
/// <param name="Name">Unique in the batch, and the name of the result.</param>
public sealed record BatchJob(string Folder, BatchEntry Entry, string Method, double Bits, ulong Seed, string Name)
{
    /// <summary>The result: a folder, or of a job that is only measured the file of a <see cref="BatchMeasurement"/>.</summary>
    public string Output => Path.Combine(Folder, Entry.MeasureOnly ? Name + ".json" : Name);

    /// <summary>Whether the factors come from a collection of this batch.</summary>
    internal bool SharesFactors => HasFactors && Entry.FactorsFrom is null;

    /// <summary>Whether it is rounded with factors.</summary>
    internal bool HasFactors => Fisher is not null;

    /// <summary>Whether its result is measured on the tasks.</summary>
    internal bool HasTasks => Entry.Tasks.Count > 0 && (Entry.TaskBits?.Contains(Bits) ?? true) && (Entry.TaskSeeds?.Contains(Seed) ?? true);

    private bool RoundsAsPublished => (Entry.Rounding ?? (Method == BatchMethods.Published ? BatchEntry.PublishedRounding : null)) == BatchEntry.PublishedRounding;

    private FisherOptions? Fisher => BatchMethods.Factors(Method, Entry.Gradients, Entry.Seed, Entry.HalfSteps);

    /// <summary>Options of the run.</summary>
    /// <param name="factors">Folder of factors; null without.</param>
    /// <param name="warn">Is told what stops nothing but should be known.</param>
    internal QuantizationOptions Options(string? factors, Action<string>? warn)
    {
        QuantizationOptions options = FactorOptions(warn) with
        {
            Output = Output,
            Bits = Bits,
            Format = Entry.Format == "dense" ? CheckpointFormat.Dense : CheckpointFormat.Qtip,
            FactorsFrom = factors,
            Seed = Seed,
        };
        if (RoundsAsPublished)
            options = options.RoundedAsPublished();
        options = Entry.Options?.Apply(options) ?? options;
        return options with { Propagate = Entry.Propagate ?? options.Propagate };
    }

    /// <summary>Options of the collection that makes its factors: the same for every rate, seed of signs, rounding and format. The output is still to be named.</summary>
    internal QuantizationOptions FactorOptions(Action<string>? warn) => new()
    {
        Model = Entry.Model,
        Output = "",
        Skip = Entry.Skip,
        Fisher = Fisher,
        Calibration = Entry.Calibration,
        Tokens = Entry.Tokens,
        Context = Entry.Context,
        Seed = Entry.Seed,
        Warn = warn,
    };

    /// <summary>What is measured afterwards, or null.</summary>
    internal EvaluationOptions? Evaluation(Action<string>? warn) => Entry.Evaluate is not { } text ? null : new EvaluationOptions
    {
        Model = Output,
        Original = Entry.Model,
        Texts = [text],
        BlockLength = Entry.Block,
        MaxBlocks = Entry.MaxBlocks,
        Tasks = Entry.Tasks,
        TaskFolder = Entry.TaskFolder,
        Limit = Entry.Limit,
        Warn = warn,
        Seed = Entry.Seed + 1,                               // never the text that self: calibration wrote
    };

    /// <summary>Everything that the file says about the job, by name; kept beside the result, so that a changed file is noticed.</summary>
    /// <remarks>A measurement may be carried to another machine: it names model and files without their folders, and holds the hashes of what it read.</remarks>
    internal SortedDictionary<string, string> Settings()
    {
        var settings = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["model"] = Entry.MeasureOnly ? Entry.Label : Path.GetFullPath(Entry.Model),
            ["method"] = Method,
            ["bits"] = Text(Bits),
            ["format"] = Entry.Format,
            ["skip"] = string.Join(',', Entry.Skip),
            ["seed"] = Text(Entry.Seed),
            ["evaluate"] = Entry.Evaluate is { } text ? $"{Named(text)}, block {Text(Entry.Block)}, max_blocks {Text(Entry.MaxBlocks)}" : "nothing",
        };
        if (Entry.RotationSeeds is not null)
            settings["rotation_seed"] = Text(Seed);
        if (Entry.Rounding is { } rounding)
            settings["rounding"] = rounding;
        if (Entry.Options is { } overrides)
            settings["options"] = overrides.ToString();
        if (Entry.Propagate is { } share)
            settings["propagate"] = Text(share);
        if (HasTasks)
            settings["tasks"] = $"{string.Join(',', Entry.Tasks.Select(Named))}, limit {Text(Entry.Limit)}";
        if (!HasFactors)
            return settings;
        if (Entry.FactorsFrom is { } folder)
        {
            settings["factors_from"] = Path.GetFullPath(folder);
            return settings;
        }
        settings["calibration"] = string.Join("; ", Entry.Calibration.Select(Named));
        settings["tokens"] = Text(Entry.Tokens);
        settings["gradients"] = Text(Entry.Gradients);
        settings["half_steps"] = Text(Entry.HalfSteps);
        settings["context"] = Text(Entry.Context);
        return settings;
    }

    private string Named(string argument) => Entry.MeasureOnly ? Path.GetFileName(argument) : argument;

    private static string Text<T>(T value) => value is null ? "default" : string.Create(CultureInfo.InvariantCulture, $"{value}");
}
