using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>Kronecker factors of one linear layer's Fisher matrix, H ≈ hOut ⊗ hIn on row-major vec(W).</summary>
/// <param name="Name">Module path.</param>
/// <param name="HOut">A (m, m) F32, host, symmetric, mean diagonal 1; null for the identity.</param>
/// <param name="HIn">B (n, n) F32, host, symmetric, mean diagonal 1; null for the identity.</param>
/// <param name="Evidence">How it was made and how well it converged.</param>
public sealed record KroneckerFactors(string Name, Tensor? HOut, Tensor? HIn, FactorEvidence Evidence) : IDisposable
{
    /// <summary>Frees both factors.</summary>
    public void Dispose()
    {
        HOut?.Dispose();
        HIn?.Dispose();
    }
}

/// <summary>How factors were made and how well they converged; stored with them.</summary>
public sealed record FactorEvidence
{
    /// <summary>fastkron, per-sequence, token-likelihood, sketch-a, sketch-b, activation or none; sketch: read from YAQA's files.</summary>
    public required string Source { get; init; }

    /// <summary>likelihood, power or lanczos; null without a solver.</summary>
    public string? Solver { get; init; }

    /// <summary>K, gradients in the stack; 0 without.</summary>
    public int Gradients { get; init; }

    /// <summary>Calibration tokens.</summary>
    public long Tokens { get; init; }

    /// <summary>sampled or true.</summary>
    public string? Labels { get; init; }

    /// <summary>Half-steps (operator applications) used.</summary>
    public int HalfSteps { get; init; }

    /// <summary>σ·trace products that the mean-diagonal normalisation took out: H = Scale · hOut ⊗ hIn.</summary>
    public double Scale { get; init; }

    /// <summary>Largest singular value of the rearranged operator (power, lanczos).</summary>
    public double? Sigma1 { get; init; }

    /// <summary>σ₂/σ₁: from Ritz values (lanczos) or the measured contraction (power).</summary>
    public double? SigmaRatio { get; init; }

    /// <summary>σ₁²/‖F‖²_F, the share of the Fisher matrix explained.</summary>
    public double? Explained { get; init; }

    /// <summary>Relative Frobenius change of A per iteration (likelihood, power).</summary>
    public IReadOnlyList<double> ChangeOut { get; init; } = [];

    /// <summary>Relative Frobenius change of B per iteration.</summary>
    public IReadOnlyList<double> ChangeIn { get; init; } = [];

    /// <summary>Gaussian log-likelihood of the pair with its ε after each half-step (likelihood).</summary>
    public IReadOnlyList<double> LogLikelihood { get; init; } = [];

    /// <summary>Seconds in the solver; of linears that were fitted side by side, equal shares.</summary>
    public double Seconds { get; init; }
}
