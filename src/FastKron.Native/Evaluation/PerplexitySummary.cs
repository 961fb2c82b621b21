namespace FastKron.Native.Evaluation;

/// <summary>Block perplexity (evaluation.md section 4).</summary>
public sealed record PerplexitySummary
{
    /// <summary>Protocol id, <c>block/SET/LEN</c>.</summary>
    public required string Protocol { get; init; }

    /// <summary>exp of the mean over blocks of the mean loss over a block's LEN−1 targets.</summary>
    public required double Perplexity { get; init; }

    /// <summary>Standard error of <see cref="Perplexity"/>, from the spread of the blocks' mean losses.</summary>
    public required double StandardError { get; init; }

    /// <summary>Mean loss of every block in nats.</summary>
    public required IReadOnlyList<double> Blocks { get; init; }
}
