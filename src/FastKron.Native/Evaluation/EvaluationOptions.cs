namespace FastKron.Native.Evaluation;

/// <summary>What to measure.</summary>
public sealed record EvaluationOptions
{
    /// <summary>Folder of the model to measure, dense or quantized.</summary>
    public required string Model { get; init; }

    /// <summary>Folder of the original for the distance from it; null for the model alone.</summary>
    public string? Original { get; init; }

    /// <summary>Texts, as <see cref="TextArgument.Parse"/> takes them.</summary>
    public IReadOnlyList<string> Texts { get; init; } = [];

    /// <summary>Tokens of a block, window or chunk; null for each protocol's own, or the model's context if that is shorter.</summary>
    public int? BlockLength { get; init; }

    /// <summary>Use only the first so many blocks, pages or chunks; null for all.</summary>
    public int? MaxBlocks { get; init; }

    /// <summary>How the distance from the original is taken.</summary>
    public DivergenceProtocol Divergence { get; init; }

    /// <summary>Tasks, as <see cref="Evaluation.Tasks.TaskFile.Find"/> takes them.</summary>
    public IReadOnlyList<string> Tasks { get; init; } = [];

    /// <summary>Folder of task files that are named without a path.</summary>
    public string TaskFolder { get; init; } = "tasks";

    /// <summary>Special tokens before the contexts of tasks; each mode is measured.</summary>
    public IReadOnlyList<BosMode> BosModes { get; init; } = [BosMode.None];

    /// <summary>Measure only the first so many documents of each task; null for all.</summary>
    public int? Limit { get; init; }

    /// <summary>Tokens of a forward pass: fewer take less memory. Null for what the backend advises.</summary>
    public int? BatchTokens { get; init; }

    /// <summary>Folder for the result and the rows of every task; must not exist. Null to write nothing.</summary>
    public string? Output { get; init; }

    /// <summary>A text that the models continue greedily; null for none.</summary>
    public string? Prompt { get; init; }

    /// <summary>Most tokens of a continuation.</summary>
    public int PromptTokens { get; init; } = 40;

    /// <summary>Is told what stops nothing but should be known, such as text that the tokenizer cannot hold.</summary>
    public Action<string>? Warn { get; init; }

    /// <summary>Seed of <c>self:</c> text; another than that of a calibration by <c>self:</c>, or both are the same text.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Checks what can be checked before a model or a text is read.</summary>
    /// <exception cref="ArgumentException">An option is out of range, or nothing is to be measured.</exception>
    /// <exception cref="InvalidDataException">A text is not there.</exception>
    public void Check()
    {
        if (Texts.Count == 0 && Tasks.Count == 0 && Prompt is null)
            throw new ArgumentException("nothing to measure; give --perplexity, --tasks or --prompt");
        if (Original is not null && Texts.Count == 0)
            throw new ArgumentException("--kl needs a text to measure on; give --perplexity");
        RequirePositive(BlockLength, "--block", 4);
        RequirePositive(MaxBlocks, "--max-blocks", 1);
        RequirePositive(Limit, "--limit", 1);
        RequirePositive(BatchTokens, "--batch-tokens", 1);
        if (BosModes.Count == 0 || BosModes.Distinct().Count() != BosModes.Count)
            throw new ArgumentException("--bos: expected none, tokenizer or none,tokenizer");
        if (Tasks.GroupBy(t => t.Split('=')[0]).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw new ArgumentException($"--tasks: found {twice.Key} twice, expected each task once");
        if (Output is not null && (Directory.Exists(Output) || File.Exists(Output)))
            throw new ArgumentException($"--output {Output}: already there; name a new folder, or delete it");
        foreach (string text in Texts)
            TextArgument.Parse(text).RequireFile();
    }

    private static void RequirePositive(int? value, string option, int minimum)
    {
        if (value < minimum)
            throw new ArgumentException($"{option} {value}: expected at least {minimum}");
    }
}
