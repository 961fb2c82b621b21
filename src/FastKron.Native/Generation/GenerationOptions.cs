namespace FastKron.Native.Generation;

/// <summary>How tokens are chosen.</summary>
public sealed record GenerationOptions
{
    /// <summary>Most tokens to generate.</summary>
    public int MaxTokens { get; init; } = 128;

    /// <summary>Tokens that end the text, besides the model's own end-of-sequence tokens: a conversation's end of turn.</summary>
    public IReadOnlyList<int> StopTokens { get; init; } = [];

    /// <summary>Divisor of the logits; 0 takes the most likely token (the lowest id on ties).</summary>
    public double Temperature { get; init; }

    /// <summary>Draw from the fewest most likely tokens whose probabilities sum to at least this, in (0, 1]. Source: arXiv:1904.09751.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Seed of the draws.</summary>
    public ulong Seed { get; init; }
}
