namespace FastKron.Native.Fisher;

/// <summary>Fits one pair of Kronecker factors to a stream of Kraus operators.</summary>
public interface IFactorSolver
{
    /// <summary>Fits A (m, m) and B (n, n), each symmetric with mean diagonal 1, in the stream's type on its backend; the caller disposes
    /// them.</summary>
    /// <exception cref="FactorSolverException">An iterate is zero or not finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled between two half-steps.</exception>
    SolvedFactors Solve(IKrausStream stream, SolverOptions options, CancellationToken cancellationToken = default);
}
