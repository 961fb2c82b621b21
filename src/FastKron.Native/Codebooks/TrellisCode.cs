namespace FastKron.Native.Codebooks;

/// <summary>The trellis codes that weights can be stored in.</summary>
public enum TrellisCode
{
    /// <summary>HYB, <see cref="TrellisCodes.Hybrid(int)"/>: 2 to 4 bits, two weights a step; half the encoder's work.</summary>
    Hybrid,

    /// <summary>1MAD, <see cref="TrellisCodes.OneMad"/>.</summary>
    OneMad,

    /// <summary>3INST, <see cref="TrellisCodes.ThreeInstructions"/>.</summary>
    ThreeInstructions,

    /// <summary>MCG, <see cref="TrellisCodes.MultiplicativeCongruence"/>; unknown to QTIP's loader.</summary>
    MultiplicativeCongruence,

    /// <summary>MUL1, <see cref="TrellisCodes.MultipliedSums"/>; unknown to QTIP's loader.</summary>
    MultipliedSums,
}
