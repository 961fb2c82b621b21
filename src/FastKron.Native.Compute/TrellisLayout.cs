namespace FastKron.Native.Compute;

/// <summary>Where a tile's bits lie in the packed tensor (trellis-formats-and-kernels.md section 2.2).</summary>
public enum TrellisLayout
{
    /// <summary>QTIP's plain words: tiles row-major, 16-bit words in stream order, weights of a tile row-major.</summary>
    QtipPlain,

    /// <summary>QTIP's kernel order: tiles in 2 × 2 groups, bits interleaved by lane, weights in mma fragment order.</summary>
    QtipKernel,
}
