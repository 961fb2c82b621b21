namespace FastKron.Native.Formats;

/// <summary>The llama3 frequency scaling.</summary>
/// <param name="Factor">Divisor of the low frequencies.</param>
/// <param name="LowFrequencyFactor">Wavelengths above originalMaxPositions / this are divided.</param>
/// <param name="HighFrequencyFactor">Wavelengths below originalMaxPositions / this are kept.</param>
/// <param name="OriginalMaxPositions">Context of the model before scaling, in tokens.</param>
public sealed record Llama3Scaling(double Factor, double LowFrequencyFactor, double HighFrequencyFactor, int OriginalMaxPositions);
