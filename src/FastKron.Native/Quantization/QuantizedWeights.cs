using FastKron.Native.Compute;

namespace FastKron.Native.Quantization;

/// <summary>One quantized linear as QTIP stores it: W ≈ diag(SV) U_m Ŵ U_nᵀ diag(SU). Host arrays.</summary>
/// <param name="Name">Module path.</param>
/// <param name="Rows">m.</param>
/// <param name="Columns">n.</param>
/// <param name="Codebook">Code and rate.</param>
/// <param name="Layout">Bit placement.</param>
/// <param name="Codes">(m/16)(n/16) · 16K words.</param>
/// <param name="InputScale">SU, n numbers: signs (divided by d_c with equalisation).</param>
/// <param name="OutputScale">SV, m numbers: sign · Wscale.</param>
/// <param name="Statistics">Errors and seconds.</param>
public sealed record QuantizedWeights(
    string Name, int Rows, int Columns, TrellisCodebook Codebook, TrellisLayout Layout,
    ushort[] Codes, float[] InputScale, float[] OutputScale, RoundingStatistics Statistics);

/// <summary>What rounding one matrix did.</summary>
/// <param name="Method">none, ldlq or two-sided.</param>
/// <param name="ProxyError">tr(E B Eᵀ A) / tr(W B Wᵀ A), damped factors.</param>
/// <param name="AbsoluteProxyError">tr(E B Eᵀ A) in units of the weights, damped factors.</param>
/// <param name="RelativeWeightError">‖E‖²_F / ‖W‖²_F.</param>
/// <param name="WeightScale">Wscale.</param>
/// <param name="DampingOut">σ added to the diagonal of A (mean diagonal 1) until the factorisation succeeded; 0 without A.</param>
/// <param name="DampingIn">The same for B.</param>
/// <param name="Fallback">Null, or why a weaker method had to be used.</param>
/// <param name="Seconds">Wall time.</param>
public sealed record RoundingStatistics(
    string Method, double ProxyError, double AbsoluteProxyError, double RelativeWeightError, double WeightScale,
    double DampingOut, double DampingIn, string? Fallback, double Seconds);
