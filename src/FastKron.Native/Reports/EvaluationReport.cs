using FastKron.Native.Evaluation;
using FastKron.Native.Evaluation.Tasks;

namespace FastKron.Native.Reports;

/// <summary>Measured quality of a model, alone or beside its original, with all that is needed to compare it (evaluation.md section 10).</summary>
public sealed record EvaluationReport
{
    /// <summary>Version of this schema.</summary>
    public int FormatVersion { get; init; } = 1;

    /// <summary>Engine version and commit.</summary>
    public required string Engine { get; init; }

    /// <summary>What ran the operations: device, threads, instruction set.</summary>
    public required string Backend { get; init; }

    /// <summary>Type of activations, keys and values.</summary>
    public required string ActivationType { get; init; }

    /// <summary>Type of logits and of log-probabilities; sums are float64.</summary>
    public string LogitType { get; init; } = "F32";

    /// <summary>The measured model.</summary>
    public required MeasuredModel Model { get; init; }

    /// <summary>The original; null when there was none.</summary>
    public MeasuredModel? Original { get; init; }

    /// <summary>SHA-256 of the tokenizer.json that encoded everything.</summary>
    public required string TokenizerHash { get; init; }

    /// <summary>Results on texts.</summary>
    public required IReadOnlyList<TextReport> Texts { get; init; }

    /// <summary>Results on tasks.</summary>
    public IReadOnlyList<TaskReport> Tasks { get; init; } = [];

    /// <summary>Tokens of a forward pass.</summary>
    public required int BatchTokens { get; init; }

    /// <summary>Only so many documents of each task were measured; null for all.</summary>
    public int? Limit { get; init; }

    /// <summary>Seed of text that the model wrote itself.</summary>
    public required ulong Seed { get; init; }

    /// <summary>Seconds of everything, loading included.</summary>
    public required double Seconds { get; init; }

    /// <summary>What stopped nothing but should be known.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>The prompt that both models continued greedily; null when none was asked for.</summary>
    public string? Prompt { get; init; }

    /// <summary>The original's continuation.</summary>
    public string? OriginalText { get; init; }

    /// <summary>The measured model's continuation.</summary>
    public string? MeasuredText { get; init; }
}

/// <summary>The result on one text.</summary>
public sealed record TextReport
{
    /// <summary>Set name.</summary>
    public required string Text { get; init; }

    /// <summary>SHA-256 of the text.</summary>
    public required string TextHash { get; init; }

    /// <summary>Tokens that were read.</summary>
    public required long Tokens { get; init; }

    /// <summary>Special tokens: <c>tokenizer</c>, the tokenizer's own at the start of the text; <c>chunk</c>, BOS at the start of every chunk; <c>prefix</c>, BOS before every page.</summary>
    public required string BosMode { get; init; }

    /// <summary>Perplexity of the original; null when only one model was measured.</summary>
    public PerplexitySummary? Original { get; init; }

    /// <summary>Perplexity of the measured model.</summary>
    public required PerplexitySummary Measured { get; init; }

    /// <summary>Distance from the original; null when only one model was measured, or the protocol has none.</summary>
    public DivergenceSummary? Divergence { get; init; }

    /// <summary>Seconds of measuring.</summary>
    public required double Seconds { get; init; }
}
