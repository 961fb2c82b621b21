using FastKron.Native.Compute;

namespace FastKron.Native.Incoherence;

/// <summary>The Hadamard matrix for every supported size (hessians-and-rounding.md section 4.2).</summary>
public static class HadamardFactors
{
    /// <summary>The factorisation of a size.</summary>
    /// <exception cref="NotSupportedException">No table for that size, with the orders that exist.</exception>
    public static HadamardFactor For(int size) => throw new NotImplementedException();
}
