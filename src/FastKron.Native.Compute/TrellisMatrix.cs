using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute;

/// <summary>Where a tile's bits lie in the packed tensor (trellis-formats-and-kernels.md section 2.2).</summary>
public enum TrellisLayout
{
    /// <summary>QTIP's plain words: tiles row-major, 16-bit words in stream order, weights of a tile row-major.</summary>
    QtipPlain,

    /// <summary>QTIP's kernel order: tiles in 2 × 2 groups, bits interleaved by lane, weights in mma fragment order.</summary>
    QtipKernel,
}

/// <summary>A matrix as packed trellis codes, in code units (no signs, no scales).</summary>
/// <param name="Codes">(tiles, 16·K) U16.</param>
/// <param name="Codebook">Code and rate.</param>
/// <param name="Layout">Bit placement.</param>
/// <param name="Rows">m, a multiple of 16 (kernel layout: 32).</param>
/// <param name="Columns">n, likewise.</param>
public sealed record TrellisMatrix(Tensor Codes, TrellisCodebook Codebook, TrellisLayout Layout, int Rows, int Columns);
