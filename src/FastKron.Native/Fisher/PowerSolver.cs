using System.Diagnostics;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>Best fit of A ⊗ B in Frobenius norm by the power method on the rearranged operator, Gauss–Seidel from B = I.</summary>
/// <remarks>
/// A ← R(B)/‖B‖, B ← Rᵀ(A)/‖A‖: each half-step is the exact minimiser in one factor, keeps it positive semidefinite and does not lower
/// σ₁. The iterates are singular whenever the gradients' ranks do not add up to a full one, so they have no Cholesky factor and the dense
/// form of the operator is used. The error contracts by (σ₂/σ₁)² per iteration.
/// </remarks>
public sealed class PowerSolver : IFactorSolver
{
    /// <inheritdoc/>
    public SolvedFactors Solve(IKrausStream stream, SolverOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.HalfSteps, 1);
        var clock = Stopwatch.StartNew();
        IBackend backend = stream.Backend;
        int before = stream.HalfSteps;
        using var a = new FactorIterate(backend, stream.Type, stream.Outputs, 1 / Math.Sqrt(stream.Outputs));
        using var b = new FactorIterate(backend, stream.Type, stream.Inputs, 1 / Math.Sqrt(stream.Inputs));
        double sigma = 0;
        for (int step = 0; step < options.HalfSteps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            bool rows = step % 2 == 0;
            (FactorIterate from, FactorIterate to) = rows ? (b, a) : (a, b);
            if (step == 0)
            {
                stream.Gram(KroneckerSide.Rows, null, to.Next);
                backend.Scale(1 / Math.Sqrt(stream.Inputs), to.Next);
            }
            else
            {
                stream.Apply(rows ? KroneckerSide.Rows : KroneckerSide.Columns, from.Value, to.Next);
            }
            sigma = FactorSolverException.RequirePositive(backend.Norm(to.Next), stream.Name, stream.HalfSteps - before, rows ? "norm of A" : "norm of B");
            to.Accept(sigma);
            // Both are unit vectors: 1 − cos = ‖difference‖²/2.
            if (!rows && b.Changes[^1] * b.Changes[^1] / 2 < options.PowerTolerance)
                break;
        }
        double diagonalA = Normalize(stream, a.Value, "A"), diagonalB = Normalize(stream, b.Value, "B");
        double? fisherNorm = stream.FisherNorm();
        var evidence = new FactorEvidence
        {
            Source = stream.Source,
            Solver = SolverKind.Power.ToText(),
            Gradients = stream.Operators,
            HalfSteps = stream.HalfSteps - before,
            Scale = sigma * diagonalA * diagonalB,
            Sigma1 = sigma,
            SigmaRatio = Ratio(b.Changes, stream.Type),
            Explained = sigma * sigma / (fisherNorm * fisherNorm),
            ChangeOut = a.Changes,
            ChangeIn = b.Changes,
            Seconds = clock.Elapsed.TotalSeconds,
        };
        return new SolvedFactors(a.Release(), b.Release(), evidence);
    }

    /// <summary>Scales a factor to mean diagonal 1, which also makes its sign positive; returns the mean diagonal it had.</summary>
    internal static double Normalize(IKrausStream stream, Tensor factor, string symbol)
    {
        double diagonal = stream.Backend.MeanDiagonal(factor);
        FactorSolverException.RequirePositive(Math.Abs(diagonal), stream.Name, stream.HalfSteps, $"mean diagonal of {symbol}");
        stream.Backend.Scale(1 / diagonal, factor);
        return diagonal;
    }

    // Successive changes shrink by (σ₂/σ₁)²: the last pair that rounding does not rule tells the ratio; null with fewer than two.
    private static double? Ratio(IReadOnlyList<double> changes, DType type)
    {
        double floor = type == DType.F64 ? 1e-12 : 1e-4;
        int last = changes.Count - 1;
        while (last > 0 && changes[last] < floor)
            last--;
        return last < 1 ? null : Math.Min(1, Math.Sqrt(changes[last] / changes[last - 1]));
    }
}
