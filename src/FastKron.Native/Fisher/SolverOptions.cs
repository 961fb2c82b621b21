namespace FastKron.Native.Fisher;

/// <summary>How factors are fitted to the gradients.</summary>
public enum SolverKind
{
    /// <summary>Maximum likelihood of matrix-normal gradients; the default. See <see cref="LikelihoodSolver"/>.</summary>
    Likelihood,

    /// <summary>Best rank-1 fit in Frobenius norm by alternating least squares. See <see cref="PowerSolver"/>.</summary>
    Power,

    /// <summary>The same fit by Golub–Kahan–Lanczos, the published method. See <see cref="LanczosSolver"/>.</summary>
    Lanczos,
}

/// <summary>Settings of the factor solvers; each solver reads its own.</summary>
public sealed record SolverOptions
{
    /// <summary>Which solver.</summary>
    public SolverKind Kind { get; init; } = SolverKind.Likelihood;

    /// <summary>Half-steps of likelihood and power, A and B in turn from B = I; at least 1.</summary>
    /// <remarks>
    /// KL at 2 bits after 1, 2, 3, 6 and 12 half-steps of likelihood on 70,000 tokens: tiny-llama .889, .623, .622, .613, .619, tiny-qwen3 .731, .470, .474,
    /// .458, .465, with standard errors of .005 to .014 (bench/half-steps.json). Of power it is least after 2 and grows from there, as the fit gets closer.
    /// </remarks>
    public int HalfSteps { get; init; } = 6;

    /// <summary>Likelihood: ε added to the diagonal of a factor (mean diagonal 1) before it is inverted.</summary>
    public double Epsilon { get; init; } = 0.01;

    /// <summary>Power: stops once 1 − cos between successive B is below this; 0 runs all iterations.</summary>
    public double PowerTolerance { get; init; } = 1e-5;

    /// <summary>Lanczos: most steps, two half-steps each; at least 1.</summary>
    public int LanczosSteps { get; init; } = 12;

    /// <summary>Lanczos: stops once the residual of the leading triplet is below this times σ₁; 0 runs all steps.</summary>
    public double LanczosTolerance { get; init; } = 1e-4;

    /// <summary>Half-steps that <see cref="Kind"/> makes, if it does not stop early.</summary>
    public int MostHalfSteps => Kind == SolverKind.Lanczos ? 2 * LanczosSteps : HalfSteps;

    /// <summary>The published setting: one Lanczos cycle of 34 steps without a relative test (hessians-and-rounding.md section 2).</summary>
    public static SolverOptions Published { get; } = new() { Kind = SolverKind.Lanczos, LanczosSteps = 34, LanczosTolerance = 0 };
}
