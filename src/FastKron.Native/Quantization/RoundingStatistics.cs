namespace FastKron.Native.Quantization;

/// <summary>What rounding one matrix did, in the metric of the rounding: a missing factor is the identity of the basis with equalised energy, if it was equalised.</summary>
/// <remarks>Errors are those after scales of channels are fitted, but for a matrix that was equalised and lacks a factor: they are fitted in the model's basis.</remarks>
/// <param name="Method">two-sided (A and B), ldlq (B alone), ldlq-output (A alone) or none.</param>
/// <param name="ProxyError">tr(E B Eᵀ A) / tr(W B Wᵀ A), damped factors.</param>
/// <param name="AbsoluteProxyError">tr(E B Eᵀ A) in units of the weights, damped factors.</param>
/// <param name="RelativeWeightError">‖E‖²_F / ‖W‖²_F in that basis, before the scales of channels are fitted.</param>
/// <param name="WeightScale">Wscale.</param>
/// <param name="DampingOut">σ added to the diagonal of A (mean diagonal 1) until the factorisation succeeded; 0 without A.</param>
/// <param name="DampingIn">The same for B.</param>
/// <param name="Fallback">Null, or why a weaker method had to be used.</param>
/// <param name="Seconds">Wall time.</param>
public sealed record RoundingStatistics(
    string Method, double ProxyError, double AbsoluteProxyError, double RelativeWeightError, double WeightScale,
    double DampingOut, double DampingIn, string? Fallback, double Seconds);
