namespace FastKron.Native.Evaluation.Tasks;

/// <summary>The result of one task in one BOS mode.</summary>
public sealed record TaskReport
{
    /// <summary>Name.</summary>
    public required string Task { get; init; }

    /// <summary>Version of its prompt.</summary>
    public required string Version { get; init; }

    /// <summary>Protocol id.</summary>
    public required string Protocol { get; init; }

    /// <summary>Special tokens before the context: none or tokenizer.</summary>
    public required string BosMode { get; init; }

    /// <summary>The file of the documents.</summary>
    public required string File { get; init; }

    /// <summary>SHA-256 of its content.</summary>
    public required string FileHash { get; init; }

    /// <summary>Documents in the file.</summary>
    public required int FileDocuments { get; init; }

    /// <summary>The published set that the file holds; null where it is none.</summary>
    public string? Split { get; init; }

    /// <summary>Documents measured: the first of the file. None is ever skipped.</summary>
    public required int Documents { get; init; }

    /// <summary>Documents whose context was cut to the model's.</summary>
    public required int TruncatedDocuments { get; init; }

    /// <summary>Share of right predictions.</summary>
    public required double Acc { get; init; }

    /// <summary>Its standard error.</summary>
    public required double AccError { get; init; }

    /// <summary>Share of right predictions by length-normalized likelihood; null for tasks without it.</summary>
    public double? AccNorm { get; init; }

    /// <summary>Its standard error.</summary>
    public double? AccNormError { get; init; }

    /// <summary>exp(−mean log-likelihood of the last word); null for other tasks.</summary>
    public double? Perplexity { get; init; }

    /// <summary>Its standard error.</summary>
    public double? PerplexityError { get; init; }

    /// <summary>Tokens read, those that choices share counted for each.</summary>
    public required long Tokens { get; init; }

    /// <summary>Seconds of scoring.</summary>
    public required double Seconds { get; init; }

    /// <summary>Name of the file of <see cref="TaskRow"/>s beside the result; null where none was written.</summary>
    public string? Rows { get; init; }
}
