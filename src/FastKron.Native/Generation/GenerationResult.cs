namespace FastKron.Native.Generation;

/// <summary>What was generated.</summary>
/// <param name="Tokens">New token ids, without the one that ended the text.</param>
/// <param name="Reason">Why it ended.</param>
public sealed record GenerationResult(IReadOnlyList<int> Tokens, StopReason Reason);
