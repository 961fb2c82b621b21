using FastKron.Native.Compute;

namespace FastKron.Native.Formats;

/// <summary>One quantized linear as QTIP stores it: W ≈ diag(SV) U_m Ŵ U_nᵀ diag(SU). Host arrays.</summary>
/// <param name="Name">Module path.</param>
/// <param name="Rows">m.</param>
/// <param name="Columns">n.</param>
/// <param name="Codebook">Code and rate.</param>
/// <param name="Layout">Bit placement.</param>
/// <param name="Codes">(m/16)(n/16) · 16K words.</param>
/// <param name="InputScale">SU, n numbers: signs (divided by d_c with equalisation).</param>
/// <param name="OutputScale">SV, m numbers: sign · Wscale.</param>
public sealed record QuantizedWeights(
    string Name, int Rows, int Columns, TrellisCodebook Codebook, TrellisLayout Layout, ushort[] Codes, float[] InputScale, float[] OutputScale);
