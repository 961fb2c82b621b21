namespace FastKron.Native.Generation;

/// <summary>Why generation ended.</summary>
public enum StopReason
{
    /// <summary>The model produced an end-of-sequence token or one of <see cref="GenerationOptions.StopTokens"/>.</summary>
    EndOfSequence,

    /// <summary><see cref="GenerationOptions.MaxTokens"/> tokens were generated.</summary>
    MaxTokens,
}
