namespace FastKron.Native.Rounding;

/// <summary>What rounding spends a device's time on.</summary>
public enum RoundingPhase
{
    /// <summary>Copies of weights and factors to the device.</summary>
    Loading,

    /// <summary>Calibration tokens in the original and the partly quantized model, and the weights that make up for the difference.</summary>
    Propagation,

    /// <summary>Equalisation, rotation and scaling of weights and factors.</summary>
    Rotation,

    /// <summary>Block LDLᵀ of the damped factors.</summary>
    Factorisation,

    /// <summary>Paths of tiles, and the values that they mean.</summary>
    Encoding,

    /// <summary>Targets of tiles from the errors of those that are done.</summary>
    Feedback,

    /// <summary>Paths to their places in the packed codes.</summary>
    Packing,

    /// <summary>Fit of the channels' scales.</summary>
    Scales,

    /// <summary>Sums that are reported.</summary>
    Losses,

    /// <summary>What the other phases are not: the device is idle, or results are copied to the host.</summary>
    Other,
}
