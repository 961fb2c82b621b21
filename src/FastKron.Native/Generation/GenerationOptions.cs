namespace FastKron.Native.Generation;

/// <summary>How tokens are chosen.</summary>
public sealed record GenerationOptions
{
    /// <summary>Most tokens to generate.</summary>
    public int MaxTokens { get; init; } = 128;

    /// <summary>Divisor of the logits; 0 takes the most likely token (the lowest id on ties).</summary>
    public double Temperature { get; init; }

    /// <summary>Draw from the fewest most likely tokens whose probabilities sum to at least this, in (0, 1]. Source: arXiv:1904.09751.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Seed of the draws.</summary>
    public ulong Seed { get; init; }
}

/// <summary>Why generation ended.</summary>
public enum StopReason
{
    /// <summary>The model produced an end-of-sequence token.</summary>
    EndOfSequence,

    /// <summary><see cref="GenerationOptions.MaxTokens"/> tokens were generated.</summary>
    MaxTokens,
}

/// <summary>What was generated.</summary>
/// <param name="Tokens">New token ids, without the end-of-sequence token.</param>
/// <param name="Reason">Why it ended.</param>
public sealed record GenerationResult(IReadOnlyList<int> Tokens, StopReason Reason);
