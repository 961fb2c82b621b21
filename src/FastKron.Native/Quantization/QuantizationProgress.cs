namespace FastKron.Native.Quantization;

/// <summary>Where a run stands.</summary>
/// <param name="Phase">calibration, factors, allocation, rounding, writing, checking or evaluation.</param>
/// <param name="Fraction">Share of the phase that is done, 0 … 1.</param>
/// <param name="Layer">Number of the block in work, or −1.</param>
/// <param name="Layers">Blocks of the model.</param>
/// <param name="Module">Name of the matrix just finished, or null.</param>
/// <param name="Error">Its proxy error, or null.</param>
/// <param name="Elapsed">Time in this phase.</param>
public readonly record struct QuantizationProgress(string Phase, double Fraction, int Layer, int Layers, string? Module, double? Error, TimeSpan Elapsed)
{
    /// <summary>Remaining time of the phase at the rate since an earlier report of it; null before anything was done since.</summary>
    /// <param name="first">The phase's first report: what came before it, such as compiling kernels and reading files, comes once.</param>
    public TimeSpan? RemainingSince(QuantizationProgress first) =>
        Fraction - first.Fraction > 0.001 ? (Elapsed - first.Elapsed) * ((1 - Fraction) / (Fraction - first.Fraction)) : null;
}
