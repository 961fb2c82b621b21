namespace FastKron.Native.Evaluation;

/// <summary>Where a measurement stands.</summary>
/// <param name="Stage">Text or task in work; of the original where it says so.</param>
/// <param name="Fraction">Share of it that is done, 0 … 1.</param>
/// <param name="Elapsed">Time in it.</param>
public readonly record struct EvaluationProgress(string Stage, double Fraction, TimeSpan Elapsed);
