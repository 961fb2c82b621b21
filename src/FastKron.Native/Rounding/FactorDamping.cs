namespace FastKron.Native.Rounding;

/// <summary>How a factor was made ready.</summary>
/// <param name="Sigma">σ, in units of the mean diagonal after rotation and scaling; 0 where the identity stands in for the factor.</param>
/// <param name="Unit">That mean diagonal in units of the mean diagonal before; 1 without scaling.</param>
/// <param name="Failure">Null, or why the factor cannot be used.</param>
public sealed record FactorDamping(double Sigma, double Unit, string? Failure)
{
    /// <summary>No factor: the identity.</summary>
    public static FactorDamping None { get; } = new(0, 1, null);
}
