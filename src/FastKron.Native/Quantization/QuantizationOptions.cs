using FastKron.Native.Codebooks;
using FastKron.Native.Fisher;

namespace FastKron.Native.Quantization;

/// <summary>What a run writes.</summary>
public enum CheckpointFormat
{
    /// <summary>QTIP's tensors with <c>quip_params</c>.</summary>
    Qtip,

    /// <summary>A standard Hugging Face folder with the decoded weights in bf16.</summary>
    Dense,
}

/// <summary>Options of a quantize run.</summary>
public sealed record QuantizationOptions
{
    /// <summary>Hugging Face folder of the original.</summary>
    public required string Model { get; init; }

    /// <summary>Folder to make; must not exist. The run directory stands beside it, with <c>.run</c> behind its name.</summary>
    public required string Output { get; init; }

    /// <summary>K: 2, 3 or 4 bits per weight.</summary>
    public int Bits { get; init; } = 2;

    /// <summary>What is written.</summary>
    public CheckpointFormat Format { get; init; } = CheckpointFormat.Qtip;

    /// <summary>Linears left dense: kinds (<c>gate</c>) or single matrices (<c>0_gate</c>).</summary>
    public IReadOnlyList<string> Skip { get; init; } = [];

    /// <summary>How factors are made; null for none (every weight counts the same).</summary>
    public FisherOptions? Fisher { get; init; } = new();

    /// <summary>Folder of factor files to use instead of making them; null to make them.</summary>
    public string? FactorsFrom { get; init; }

    /// <summary>Calibration files; or the single entry <c>self:</c> (as many tokens as <see cref="Tokens"/>), <c>self:TOKENS</c>, or a file of ids that a factor run left (<c>calibration.ids</c>), used whole.</summary>
    public IReadOnlyList<string> Calibration { get; init; } = ["self:"];

    /// <summary>Calibration tokens in all.</summary>
    public int Tokens { get; init; } = 712_500;

    /// <summary>Longest calibration sequence in tokens; null for min(context of the model, 2048).</summary>
    public int? Context { get; init; }

    /// <summary>Is told what stops nothing but should be known, such as text that the tokenizer cannot hold.</summary>
    public Action<string>? Warn { get; init; }

    /// <summary>Seed of signs, labels and sampled text.</summary>
    public ulong Seed { get; init; }

    /// <summary>Whether rows and columns are scaled to equal mean squares before a matrix is rounded.</summary>
    public bool Equalize { get; init; } = true;

    /// <summary>Whether the scales of channels are fitted after a matrix is rounded.</summary>
    public bool FitScales { get; init; } = true;

    /// <summary>How each matrix is rounded: HYB code, kernel layout, the specification's scale and damping.</summary>
    internal LinearQuantizerOptions LinearSettings => new() { Codebook = TrellisCodes.Hybrid(Bits), Seed = Seed, Equalize = Equalize, FitScales = FitScales };
}
