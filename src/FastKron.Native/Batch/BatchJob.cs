using System.Globalization;
using FastKron.Native.Evaluation;
using FastKron.Native.Fisher;
using FastKron.Native.Quantization;

namespace FastKron.Native.Batch;

/// <summary>One model by one method at one rate.</summary>
/// <param name="Folder">Folder of the batch.</param>
/// <param name="Entry">Where it stands in the file.</param>
/// <param name="Method">See <see cref="BatchMethods"/>.</param>
/// <param name="Bits">Bits per weight.</param>
public sealed record BatchJob(string Folder, BatchEntry Entry, string Method, int Bits)
{
    /// <summary>Unique in the batch, and the name of the result's folder.</summary>
    public string Name => string.Create(CultureInfo.InvariantCulture, $"{Entry.Label}-{Method}-{Bits}bit");

    /// <summary>Folder of the result.</summary>
    public string Output => Path.Combine(Folder, Name);

    /// <summary>Whether the factors come from a collection of this batch.</summary>
    internal bool SharesFactors => Method != "none" && Entry.FactorsFrom is null;

    private FisherOptions? Fisher => BatchMethods.Factors(Method, Entry.Gradients, Entry.Seed, Entry.HalfSteps);

    /// <summary>Options of the run.</summary>
    /// <param name="factors">Folder of factors; null without.</param>
    /// <param name="warn">Is told what stops nothing but should be known.</param>
    internal QuantizationOptions Options(string? factors, Action<string>? warn) => FactorOptions(warn) with
    {
        Output = Output,
        Bits = Bits,
        Format = Entry.Format == "dense" ? CheckpointFormat.Dense : CheckpointFormat.Qtip,
        FactorsFrom = factors,
    };

    /// <summary>Options of the collection that makes its factors: the same for every rate and format. The output is still to be named.</summary>
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
        Warn = warn,
        Seed = Entry.Seed + 1,                               // never the text that self: calibration wrote
    };

    /// <summary>Everything that the file says about the job, by name; kept beside the result, so that a changed file is noticed.</summary>
    internal SortedDictionary<string, string> Settings()
    {
        var settings = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["model"] = Path.GetFullPath(Entry.Model),
            ["method"] = Method,
            ["bits"] = Text(Bits),
            ["format"] = Entry.Format,
            ["skip"] = string.Join(',', Entry.Skip),
            ["seed"] = Text(Entry.Seed),
            ["evaluate"] = Entry.Evaluate is { } text ? $"{text}, block {Text(Entry.Block)}, max_blocks {Text(Entry.MaxBlocks)}" : "nothing",
        };
        if (Method == "none")
            return settings;
        if (Entry.FactorsFrom is { } folder)
        {
            settings["factors_from"] = Path.GetFullPath(folder);
            return settings;
        }
        settings["calibration"] = string.Join("; ", Entry.Calibration);
        settings["tokens"] = Text(Entry.Tokens);
        settings["gradients"] = Text(Entry.Gradients);
        settings["half_steps"] = Text(Entry.HalfSteps);
        settings["context"] = Text(Entry.Context);
        return settings;
    }

    private static string Text<T>(T value) => value is null ? "default" : string.Create(CultureInfo.InvariantCulture, $"{value}");
}
