namespace FastKron.Native.Formats;

/// <summary>Rotary embedding settings. Source: arXiv:2104.09864; llama3 scaling as in LLaMA 3.1.</summary>
/// <param name="Theta">Base of the frequencies.</param>
/// <param name="Llama3">Frequency scaling, or null for the default embedding.</param>
public sealed record RotarySettings(double Theta, Llama3Scaling? Llama3);
