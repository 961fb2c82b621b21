namespace FastKron.Native.Fisher;

/// <summary>The solvers by kind.</summary>
public static class FactorSolvers
{
    /// <summary>Fits factors with the solver that <see cref="SolverOptions.Kind"/> names.</summary>
    /// <inheritdoc cref="IFactorSolver.Solve"/>
    public static SolvedFactors Solve(IKrausStream stream, SolverOptions options, CancellationToken cancellationToken = default)
    {
        IFactorSolver solver = options.Kind switch
        {
            SolverKind.Likelihood => new LikelihoodSolver(),
            SolverKind.Power => new PowerSolver(),
            SolverKind.Lanczos => new LanczosSolver(),
            _ => throw new ArgumentOutOfRangeException(nameof(options)),
        };
        return solver.Solve(stream, options, cancellationToken);
    }
}
