namespace FastKron.Native.Compute;

/// <summary>Rows of one sequence: its queries and the keys they may see. Query i (from 0) sees the first KeyCount − QueryCount + i + 1 keys.</summary>
/// <param name="QueryStart">First query row.</param>
/// <param name="QueryCount">Query rows.</param>
/// <param name="KeyStart">First key row.</param>
/// <param name="KeyCount">Key rows, at least <paramref name="QueryCount"/>.</param>
public readonly record struct SequenceSpan(int QueryStart, int QueryCount, int KeyStart, int KeyCount);

/// <summary>Shape of a packed attention call.</summary>
/// <param name="Heads">Query heads; a multiple of <paramref name="KeyHeads"/>.</param>
/// <param name="KeyHeads">Key and value heads.</param>
/// <param name="HeadDimension">Elements of a head.</param>
/// <param name="Sequences">The sequences; their query rows follow each other and cover the batch.</param>
public sealed record AttentionLayout(int Heads, int KeyHeads, int HeadDimension, IReadOnlyList<SequenceSpan> Sequences);
