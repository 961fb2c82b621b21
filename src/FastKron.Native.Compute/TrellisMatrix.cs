using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute;

/// <summary>A matrix as packed trellis codes, in code units (no signs, no scales).</summary>
/// <param name="Codes">(tiles, 16·K) U16.</param>
/// <param name="Codebook">Code and rate.</param>
/// <param name="Layout">Bit placement.</param>
/// <param name="Rows">m, a multiple of 16 (kernel layout: 32).</param>
/// <param name="Columns">n, likewise.</param>
public sealed record TrellisMatrix(Tensor Codes, TrellisCodebook Codebook, TrellisLayout Layout, int Rows, int Columns);
