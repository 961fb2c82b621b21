using FastKron.Native.Formats;

namespace FastKron.Native.Quantization;

/// <summary>What rounding made of one linear.</summary>
/// <param name="Weights">Codes, signs and scales: what a checkpoint holds.</param>
/// <param name="Statistics">Errors and seconds: what a report holds.</param>
public sealed record RoundedLinear(QuantizedWeights Weights, RoundingStatistics Statistics);
