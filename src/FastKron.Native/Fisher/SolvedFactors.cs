using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>What a solver leaves on its backend.</summary>
/// <param name="HOut">A (m, m), symmetric, mean diagonal 1.</param>
/// <param name="HIn">B (n, n), symmetric, mean diagonal 1.</param>
/// <param name="Evidence">Everything but tokens and labels, which the solver does not know.</param>
public sealed record SolvedFactors(Tensor HOut, Tensor HIn, FactorEvidence Evidence) : IDisposable
{
    /// <summary>Frees both factors.</summary>
    public void Dispose()
    {
        HOut.Dispose();
        HIn.Dispose();
    }
}
