namespace FastKron.Native.Compute;

/// <summary>Arithmetic of the path costs of <see cref="IBackend.EncodeTiles"/>.</summary>
public enum CostPrecision
{
    /// <summary>float32: the states of <see cref="Reference.Viterbi"/>, bit for bit, on every backend.</summary>
    Exact,

    /// <summary>
    /// float16, two tiles at once, where a backend has such arithmetic (a GPU): other paths, whose mean squared error is the same within 0.5 %.
    /// Targets beyond ±32 count as ±32. Elsewhere (the CPU) as <see cref="Exact"/>.
    /// </summary>
    PackedHalf,
}
