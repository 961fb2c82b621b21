using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute;

/// <summary>The orthogonal matrix U = (H_base ⊗ H_{2^p})/√size: index = k·2^p + j, k on the base, Sylvester order in j.</summary>
/// <remarks>Source: QuIP#, Tseng et al., arXiv:2402.04396, section 3; base tables in <c>FastKron.Native.Incoherence</c>.</remarks>
/// <param name="BaseOrder">Order of the base matrix; 1 for pure powers of two.</param>
/// <param name="Signs">Row-major ±1 entries of the base matrix, BaseOrder² of them.</param>
/// <param name="PowerOfTwo">2^p.</param>
public sealed record HadamardFactor(int BaseOrder, ReadOnlyMemory<sbyte> Signs, int PowerOfTwo)
{
    /// <summary>Elements of the transformed axis.</summary>
    public int Size => BaseOrder * PowerOfTwo;
}

/// <summary>The axis that <see cref="IBackend.Hadamard(Tensor, HadamardFactor, Tensor?, HadamardAxis, bool)"/> transforms.</summary>
public enum HadamardAxis
{
    /// <summary>Each row is one vector.</summary>
    Rows,

    /// <summary>Each column is one vector.</summary>
    Columns,
}
