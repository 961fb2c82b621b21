using System.Globalization;
using FastKron.Native.Calibration;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;

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

    /// <summary>Bits per weight: 2, 3 or 4 for all linears, or an average between 2 and 4 that is shared out by predicted loss.</summary>
    public double Bits { get; init; } = 2;

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

    /// <summary>
    /// Share, 0 to 1, in which every matrix makes up for what rounding those before it did to its inputs (<see cref="PropagationSweep"/>); 0 rounds all
    /// matrices on their own. Null for <see cref="DefaultPropagation"/> where calibration tokens come with the factors, and 0 elsewhere.
    /// </summary>
    public double? Propagate { get; init; }

    /// <summary>The share that was best on small models; all of it makes up for chance, too.</summary>
    public const double DefaultPropagation = 0.75;

    /// <summary>Most calibration tokens that are taken through the partly quantized model.</summary>
    public int PropagatedTokens { get; init; } = 65_536;

    /// <summary>The share that is meant.</summary>
    internal double PropagatedShare => Propagate ?? (HasTokens ? DefaultPropagation : 0);

    private bool HasTokens => FactorsFrom is { } folder ? CalibrationStage.HasTokens(folder) : Fisher is not null;

    /// <summary>What a linear's K can be, ascending.</summary>
    public static IReadOnlyList<int> Widths { get; } = [2, 3, 4];

    /// <summary>Whether a whole number of bits, too, is an average that is shared out.</summary>
    public bool Mixed { get; init; }

    /// <summary>Whether linears may differ in their bits.</summary>
    internal bool HasMixedBits => Mixed || Bits != Math.Floor(Bits);

    /// <summary>Why bits cannot be shared out without them, for messages.</summary>
    internal const string MixedBitsCure = "mixed bits follow from predicted losses, which need Fisher factors; give a whole number of bits without --mixed, or factors of gradients";

    /// <summary>The code; null for <see cref="DefaultCode"/>.</summary>
    public TrellisCode? Code { get; init; }

    /// <summary>Root mean square of the scaled weights in units of the code's; null for <see cref="TrellisCodes.RelativeScale"/>.</summary>
    public double? RelativeScale { get; init; }

    /// <summary>σ_reg of the output factor: added to its diagonal (mean 1) until it can be factorised, at least once.</summary>
    public double DampingOut { get; init; } = 0.01;

    /// <summary>σ_reg of the input factor.</summary>
    public double DampingIn { get; init; } = 0.01;

    /// <summary>Window of the encoder's first pass.</summary>
    public TailBitingWindow Window { get; init; } = TailBitingWindow.Full;

    /// <summary>
    /// HYB at 2 bits, where 1MAD's error is only 2 % less for twice the encoder's work; 1MAD above, whose error is 7 % less at 3 and 17 % less at 4 bits: with
    /// one weight a step, twice as many steps share the 16 bits of a state. MUL1 is another percent better, but QTIP's loader has not got it.
    /// </summary>
    public static TrellisCode DefaultCode(double bits) => bits > 2 ? TrellisCode.OneMad : TrellisCode.Hybrid;

    /// <summary>The code that is meant.</summary>
    internal TrellisCode ChosenCode => Code ?? DefaultCode(Bits);

    /// <summary>The same run with matrices rounded as the FastKron paper's were: as they are, each on its own, HYB at scale 0.9, nothing fitted.</summary>
    public QuantizationOptions RoundedAsPublished() =>
        this with { Equalize = false, FitScales = false, Propagate = 0, Code = TrellisCode.Hybrid, RelativeScale = 0.9 };

    /// <summary>How a matrix is rounded at K bits.</summary>
    internal LinearQuantizerOptions LinearSettings(int bits)
    {
        TrellisCodebook codebook = TrellisCodes.Create(ChosenCode, bits);
        return new LinearQuantizerOptions
        {
            Codebook = codebook,
            Layout = QuantizedCheckpoint.LayoutOf(codebook),
            RelativeScale = RelativeScale ?? TrellisCodes.RelativeScale(ChosenCode, bits),
            Seed = Seed,
            Equalize = Equalize,
            FitScales = FitScales,
            DampingOut = DampingOut,
            DampingIn = DampingIn,
            Window = Window,
        };
    }

    /// <summary>Refuses before the first minute of work what could not end well: rates, shares and scales out of range, or without what they need; calibration files that are not there.</summary>
    /// <exception cref="ArgumentException">A value out of range, or without what it needs.</exception>
    /// <exception cref="FileNotFoundException">A calibration file is missing.</exception>
    internal void Check()
    {
        if (FactorsFrom is null && Fisher is { } fisher)
            CheckFactors(fisher);
        if (PropagatedTokens < 1)
            throw new ArgumentException($"--propagate-tokens {PropagatedTokens}: expected at least 1");
        if (Propagate is { } share && !(share is >= 0 and <= 1 && (share == 0 || HasTokens)))
        {
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture,
                $"--propagate {share}: expected 0 to 1, and above 0 factors that are made here or come from a folder with {CalibrationStage.IdsFile}"));
        }
        if (RelativeScale is { } scale && !(scale > 0 && double.IsFinite(scale)))
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"relative scale {scale}: expected a positive number, such as 0.9"));
        if (!(DampingOut > 0 && DampingIn > 0 && double.IsFinite(DampingOut + DampingIn)))
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"damping {DampingOut}, {DampingIn}: expected positive numbers, such as 0.01"));
        _ = Window.Steps(TrellisCodes.Create(ChosenCode, Widths[0]));
        if (!(Bits >= Widths[0] && Bits <= Widths[^1]))
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"--bits {Bits}: expected 2, 3 or 4, or an average between them such as 2.5"));
        if (HasMixedBits && FactorsFrom is null && Fisher is null or { Source: FactorSource.Activation })
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"--bits {Bits} with --factors {Fisher?.Source.ToText() ?? "none"}: {MixedBitsCure}"));
    }

    private void CheckFactors(FisherOptions fisher)
    {
        fisher.Check();
        if (Context < CalibrationPacker.ShortestSequence)
            throw new ArgumentException($"--context {Context}: expected at least {CalibrationPacker.ShortestSequence}");
        if (CalibrationStage.IsIds(Calibration))
            return;
        int tokens = CalibrationStage.TokensAsked(this), fewest = Math.Max(CalibrationPacker.ShortestSequence, fisher.Gradients);
        if (tokens < fewest)
            throw new ArgumentException($"--gradients {fisher.Gradients} of --tokens {tokens}: expected at least {fewest} tokens, one for each gradient");
        if (CalibrationStage.IsSelf(Calibration))
            return;
        foreach (string text in Calibration)
            CalibrationFile.Parse(text);
    }
}
