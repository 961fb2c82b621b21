namespace FastKron.Native.Evaluation;

/// <summary>Tokens that a model reads, and the tokens whose likelihood is asked of it.</summary>
/// <param name="Input">What it reads: at most its context.</param>
/// <param name="Targets">What should follow each of the last <c>Targets.Length</c> positions of the input; at least one.</param>
public sealed record ScoredSequence(int[] Input, int[] Targets);
