namespace FastKron.Native.Evaluation;

/// <summary>What a model says to a <see cref="ScoredSequence"/>.</summary>
/// <param name="LogLikelihood">Sum of the targets' log-probabilities in nats: float32 each, float64 their sum. −∞ is legal, NaN tells of a broken model.</param>
/// <param name="IsGreedy">Whether every target is the most likely token of its position; false where that was not asked.</param>
public readonly record struct SequenceScore(double LogLikelihood, bool IsGreedy);
