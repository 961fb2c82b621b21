using FastKron.Native.Compute;

namespace FastKron.Native.Quantization;

/// <summary>How <see cref="LinearQuantizer"/> quantizes; the same for every matrix of a run.</summary>
public sealed record LinearQuantizerOptions
{
    /// <summary>Code and rate.</summary>
    public required TrellisCodebook Codebook { get; init; }

    /// <summary>Bit placement.</summary>
    public TrellisLayout Layout { get; init; } = TrellisLayout.QtipKernel;

    /// <summary>Root mean square of the scaled weights in units of that of the code, <c>scale_override</c> of QTIP; below 1 leaves room for feedback.</summary>
    public double RelativeScale { get; init; } = 0.9;

    /// <summary>σ_reg of A: added to its diagonal (mean 1) until it can be factorised, at least once.</summary>
    public double DampingOut { get; init; } = 0.01;

    /// <summary>σ_reg of B.</summary>
    public double DampingIn { get; init; } = 0.01;

    /// <summary>Whether rows and columns are scaled to equal mean squares first; the scales are part of the stored SU and SV.</summary>
    public bool Equalize { get; init; }

    /// <summary>Whether the scales of input and output channels, SU and SV, are fitted after rounding (<see cref="ChannelScales"/>).</summary>
    public bool FitScales { get; init; }

    /// <summary>Arithmetic of the encoder: packed half changes the mean squared error by .02 % and is 1.6 times as fast where a device has it.</summary>
    public CostPrecision Costs { get; init; } = CostPrecision.PackedHalf;

    /// <summary>Window of the encoder's first pass.</summary>
    public TailBitingWindow Window { get; init; } = TailBitingWindow.Full;

    /// <summary>Seed of the rotations.</summary>
    public ulong Seed { get; init; }
}
