using System.Diagnostics;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>Maximum-likelihood row and column covariances of matrix-normal gradients: the flip-flop iteration, Gauss–Seidel from B = I.</summary>
/// <remarks>
/// A = (1/Kn) Σ G_k B⁻¹ G_kᵀ, B = (1/Km) Σ G_kᵀ A⁻¹ G_k. Every direction is measured in its own scale, so a few large gradients do not
/// rule the fit as they do in the Frobenius norm. Half-step: B̃ = B/d(B) + εI = L Lᵀ in float64 (d = mean diagonal), P_k = G_k L⁻ᵀ, A = Σ
/// P_k P_kᵀ / K: positive semidefinite at every step. Cost of a half-step: K·mn(m + n) operations in triangular form and about n³
/// in float64. Source: P. Dutilleul, "The MLE algorithm for the matrix normal distribution", J. Stat. Comput. Simul. 64 (1999).
/// </remarks>
public sealed class LikelihoodSolver : IFactorSolver
{
    /// <inheritdoc/>
    public SolvedFactors Solve(IKrausStream stream, SolverOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Iterations, 1);
        var clock = Stopwatch.StartNew();
        int before = stream.HalfSteps;
        using var a = new FactorIterate(stream.Backend, stream.Type, stream.Outputs, 1);
        using var b = new FactorIterate(stream.Backend, stream.Type, stream.Inputs, 1);
        var likelihood = new List<double>(2 * options.Iterations);
        double scale = 0;
        for (int iteration = 0; iteration < options.Iterations; iteration++)
        {
            HalfStep(stream, KroneckerSide.Rows, from: b, to: a, options.Epsilon, likelihood, cancellationToken);
            scale = HalfStep(stream, KroneckerSide.Columns, from: a, to: b, options.Epsilon, likelihood, cancellationToken);
        }
        // The covariance is Ã ⊗ B/m with the last half-step's Ã, whose mean diagonal is 1 + ε.
        var evidence = new FactorEvidence
        {
            Source = stream.Source,
            Solver = SolverKind.Likelihood.ToText(),
            Gradients = stream.Operators,
            HalfSteps = stream.HalfSteps - before,
            Scale = scale * (1 + options.Epsilon) / stream.Outputs,
            ChangeOut = a.Changes,
            ChangeIn = b.Changes,
            LogLikelihood = likelihood.TrueForAll(double.IsFinite) ? likelihood : [],
            Seconds = clock.Elapsed.TotalSeconds,
        };
        return new SolvedFactors(a.Release(), b.Release(), evidence);
    }

    // Replaces `to` by the covariance given `from`; appends the log-likelihood and returns the mean diagonal that normalisation took out.
    private static double HalfStep(
        IKrausStream stream, KroneckerSide side, FactorIterate from, FactorIterate to, double epsilon, List<double> likelihood,
        CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        IBackend backend = stream.Backend;
        double fromLogDeterminant;
        // The first half-step starts from B = I: no product with a root. Its ε is left out, which changes only the scale of A.
        if (from.Changes.Count == 0)
        {
            fromLogDeterminant = 0;
            stream.Gram(side, null, to.Next);
        }
        else
        {
            using Tensor root = InverseRoot(stream, from.Value, epsilon, out fromLogDeterminant);
            stream.Gram(side, root, to.Next);
        }
        int number = likelihood.Count + 1;
        double diagonal = FactorSolverException.RequirePositive(backend.MeanDiagonal(to.Next), stream.Name, number, $"mean diagonal of {Symbol(side)}");
        to.Accept(diagonal);
        FactorSolverException.RequirePositive(backend.Norm(to.Value), stream.Name, number, $"norm of {Symbol(side)}");

        // At (A/n, B̃) or (Ã, B/m) the trace term Σ tr(A⁻¹ G B⁻¹ Gᵀ) is K·m·n.
        double size = to.Value.Rows, other = from.Value.Rows, k = stream.Operators;
        double toLogDeterminant = LogDeterminant(backend, to.Value) + size * Math.Log(diagonal / other);
        likelihood.Add(-0.5 * k * (other * toLogDeterminant + size * fromLogDeterminant + size * other));
        return diagonal;
    }

    // L⁻¹ of value + εI = L Lᵀ, factored and inverted in F64, in the stream's type.
    private static Tensor InverseRoot(IKrausStream stream, Tensor value, double epsilon, out double logDeterminant)
    {
        IBackend backend = stream.Backend;
        Tensor work = backend.Allocate(DType.F64, value.Rows, value.Columns);
        try
        {
            backend.Convert(value, work);
            backend.AddToDiagonal(work, epsilon);
            int failed = backend.Cholesky(work);
            if (failed != 0)
            {
                throw new FactorSolverException(
                    stream.Name, $"a factor plus {epsilon}·I has no positive pivot at row {failed} of {value.Rows}",
                    "more gradients or a larger ε are needed");
            }
            logDeterminant = backend.LogDeterminant(work);
            backend.TriangularInverse(work);
            if (stream.Type == DType.F64)
                return work;
            Tensor root = backend.Allocate(stream.Type, value.Rows, value.Columns);
            backend.Convert(work, root);
            work.Dispose();
            return root;
        }
        catch
        {
            work.Dispose();
            throw;
        }
    }

    // −∞ where the factor is singular: too few gradients, the likelihood is unbounded and only ε keeps the solution finite.
    private static double LogDeterminant(IBackend backend, Tensor value)
    {
        using Tensor work = backend.Allocate(DType.F64, value.Rows, value.Columns);
        backend.Convert(value, work);
        return backend.Cholesky(work) == 0 ? backend.LogDeterminant(work) : double.NegativeInfinity;
    }

    private static char Symbol(KroneckerSide side) => side == KroneckerSide.Rows ? 'A' : 'B';
}
