namespace FastKron.Native.Formats;

/// <summary>Model families the engine runs.</summary>
public enum ModelFamily
{
    /// <summary>LLaMA 1, 2, 3 and look-alikes: <c>model_type: llama</c>.</summary>
    Llama,

    /// <summary>Qwen 3 (dense): <c>model_type: qwen3</c>, per-head RMSNorm on queries and keys.</summary>
    Qwen3,
}

/// <summary>Rotary embedding settings. Source: arXiv:2104.09864; llama3 scaling as in LLaMA 3.1.</summary>
/// <param name="Theta">Base of the frequencies.</param>
/// <param name="Llama3">Frequency scaling, or null for the default embedding.</param>
public sealed record RotarySettings(double Theta, Llama3Scaling? Llama3);

/// <summary>The llama3 frequency scaling.</summary>
/// <param name="Factor">Divisor of the low frequencies.</param>
/// <param name="LowFrequencyFactor">Wavelengths above originalMaxPositions / this are divided.</param>
/// <param name="HighFrequencyFactor">Wavelengths below originalMaxPositions / this are kept.</param>
/// <param name="OriginalMaxPositions">Context of the model before scaling, in tokens.</param>
public sealed record Llama3Scaling(double Factor, double LowFrequencyFactor, double HighFrequencyFactor, int OriginalMaxPositions);

/// <summary>What config.json of a supported model says. Read with <see cref="ModelConfigReader"/>.</summary>
public sealed record ModelConfig
{
    /// <summary>Family.</summary>
    public required ModelFamily Family { get; init; }

    /// <summary>Rows of the embedding and of the head, padding included.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Elements of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Elements of the MLP's inner layer.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Decoder blocks.</summary>
    public required int Layers { get; init; }

    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Key and value heads; divides <see cref="Heads"/>.</summary>
    public required int KeyHeads { get; init; }

    /// <summary>Elements of a head; even. Hidden size / heads where config.json does not say.</summary>
    public required int HeadDimension { get; init; }

    /// <summary>Longest context in tokens.</summary>
    public required int MaxPositions { get; init; }

    /// <summary>Added to the mean square in every RMSNorm.</summary>
    public required float RmsNormEpsilon { get; init; }

    /// <summary>Rotary embedding.</summary>
    public required RotarySettings Rotary { get; init; }

    /// <summary>Whether the head is the embedding.</summary>
    public required bool TiedHead { get; init; }

    /// <summary>Begin-of-sequence id, or null.</summary>
    public required int? BosToken { get; init; }

    /// <summary>End-of-sequence ids; may be empty.</summary>
    public required IReadOnlyList<int> EosTokens { get; init; }

    /// <summary>Element type that the checkpoint declares: bfloat16, float16 or float32.</summary>
    public required string TensorType { get; init; }

    /// <summary>Trellis parameters if the folder holds a quantized model.</summary>
    public QuantizationParameters? Quantization { get; init; }

    /// <summary>Whether q and k are normalised per head.</summary>
    public bool HasQueryKeyNorm => Family == ModelFamily.Qwen3;
}

/// <summary>The <c>quip_params</c> object of a quantized folder's config.json (hessians-and-rounding.md section 6).</summary>
/// <param name="Bits">K, bits per weight.</param>
/// <param name="Vector">V, weights per step.</param>
/// <param name="DecodeMode">quantlut_sym (HYB), 1mad, 3inst, mul1, mcg.</param>
/// <param name="TableBits">Index bits of the lookup table; 0 for computed codes.</param>
/// <param name="SkipList">Linears left dense, as <c>{layer}_{q|k|v|o|gate|up|down}</c>.</param>
public sealed record QuantizationParameters(int Bits, int Vector, string DecodeMode, int TableBits, IReadOnlyList<string> SkipList);
