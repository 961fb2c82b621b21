using FastKron.Native.Evaluation.Tasks;
using FastKron.Native.Fisher;
using FastKron.Native.Reports;

namespace FastKron.Native.Quantization;

/// <summary>What came of quantizing a model in memory.</summary>
/// <param name="Evaluation">What was measured.</param>
/// <param name="Rows">Rows of each of its tasks.</param>
/// <param name="Factors">How the factors were made; empty without.</param>
/// <param name="Rounding">Errors of the linears, in the order in which they were rounded; empty for the original.</param>
/// <param name="RoundingSeconds">Wall time of the rounding, reading of factors included.</param>
public sealed record QuantizationTrial(
    EvaluationReport Evaluation, IReadOnlyList<IReadOnlyList<TaskRow>> Rows, IReadOnlyList<FactorEvidence> Factors, IReadOnlyList<RoundingStatistics> Rounding,
    double RoundingSeconds);
