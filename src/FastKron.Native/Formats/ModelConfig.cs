namespace FastKron.Native.Formats;

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

    /// <summary>Elements of a head; even. Where config.json does not say: hidden size / heads (llama), 128 (qwen3).</summary>
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

    /// <summary>Element type that config.json declares: bfloat16, float16 or float32; null where it says nothing.</summary>
    public required string? TensorType { get; init; }

    /// <summary>Trellis parameters if the folder holds a quantized model.</summary>
    public QuantizationParameters? Quantization { get; init; }

    /// <summary>Whether q and k are normalised per head.</summary>
    public bool HasQueryKeyNorm => Family == ModelFamily.Qwen3;
}
