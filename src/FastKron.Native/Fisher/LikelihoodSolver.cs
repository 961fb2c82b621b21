using System.Diagnostics;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>Maximum-likelihood row and column covariances of matrix-normal gradients: the flip-flop iteration, Gauss–Seidel from B = I.</summary>
/// <remarks>
/// A = (1/Kn) Σ G_k B⁻¹ G_kᵀ, B = (1/Km) Σ G_kᵀ A⁻¹ G_k. Every direction is measured in its own scale, so a few large gradients do not
/// rule the fit as they do in the Frobenius norm. Half-step: P_k = G_k L⁻ᵀ, A = Σ P_k P_kᵀ / K, then Ã = A/d(A) + εI = L Lᵀ in float64 (d
/// = mean diagonal): positive semidefinite at every step. Cost of a half-step: K·mn(m + n) operations in triangular form and about n³ in
/// float64. Source: P. Dutilleul, "The MLE algorithm for the matrix normal distribution", J. Stat. Comput. Simul. 64 (1999).
/// </remarks>
public sealed class LikelihoodSolver : IFactorSolver
{
    /// <inheritdoc/>
    public SolvedFactors Solve(IKrausStream stream, SolverOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.HalfSteps, 1);
        var clock = Stopwatch.StartNew();
        int before = stream.HalfSteps;
        using var a = new FactorIterate(stream.Backend, stream.Type, stream.Outputs, 1);
        using var b = new FactorIterate(stream.Backend, stream.Type, stream.Inputs, 1);
        var likelihood = new List<double>(options.HalfSteps);
        double scale = 0;
        Root? root = null;   // The first half-step starts from B = I. Its ε is left out, which changes only the scale of A.
        try
        {
            for (int step = 0; step < options.HalfSteps; step++)
            {
                // The covariance is A/n ⊗ B̃ or Ã ⊗ B/m, where the other factor's mean diagonal is 1 + ε.
                bool rows = step % 2 == 0;
                double given = (root is null ? 1 : 1 + options.Epsilon) / (rows ? stream.Inputs : stream.Outputs);
                scale = given * HalfStep(
                    stream, rows ? KroneckerSide.Rows : KroneckerSide.Columns, ref root, rows ? a : b, options.Epsilon, likelihood, cancellationToken);
            }
        }
        finally
        {
            root?.Inverse.Dispose();
        }
        var evidence = new FactorEvidence
        {
            Source = stream.Source,
            Solver = SolverKind.Likelihood.ToText(),
            Gradients = stream.Operators,
            HalfSteps = stream.HalfSteps - before,
            Scale = scale,
            ChangeOut = a.Changes,
            ChangeIn = b.Changes,
            LogLikelihood = likelihood,
            Seconds = clock.Elapsed.TotalSeconds,
        };
        return new SolvedFactors(a.Release(), b.Release(), evidence);
    }

    // Replaces a factor by the covariance given the other's root, and the root by its own; appends the log-likelihood and returns the mean
    // diagonal that normalisation took out.
    private static double HalfStep(
        IKrausStream stream, KroneckerSide side, ref Root? root, FactorIterate factor, double epsilon, List<double> likelihood,
        CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        IBackend backend = stream.Backend;
        stream.Gram(side, root?.Inverse, factor.Next);
        int number = likelihood.Count + 1;
        char symbol = side == KroneckerSide.Rows ? 'A' : 'B';
        double diagonal = FactorSolverException.RequirePositive(backend.MeanDiagonal(factor.Next), stream.Name, number, $"mean diagonal of {symbol}");
        FactorSolverException.RequirePositive(factor.Accept(diagonal), stream.Name, number, $"norm of {symbol}");

        double given = root?.LogDeterminant ?? 0;
        root?.Inverse.Dispose();
        root = null;   // if what follows throws, there is none
        root = InverseRoot(stream, factor.Value, epsilon);

        // The Gaussian at (d Ã/n, B̃), or (Ã, d B̃/m): its trace term Σ tr(Ã⁻¹ G B̃⁻¹ Gᵀ) n/d is K n tr(Ã⁻¹ A/d) = K n (m − ε tr Ã⁻¹).
        double size = factor.Value.Rows, other = side == KroneckerSide.Rows ? stream.Inputs : stream.Outputs;
        double trace = size - epsilon * backend.Dot(root.Inverse, root.Inverse);
        likelihood.Add(-0.5 * stream.Operators * (other * (root.LogDeterminant + size * Math.Log(diagonal / other) + trace) + size * given));
        return diagonal;
    }

    // L⁻¹ of value + εI = L Lᵀ, made in F64, in the stream's type.
    internal static Root InverseRoot(IKrausStream stream, Tensor value, double epsilon)
    {
        IBackend backend = stream.Backend;
        using Tensor work = backend.Allocate(DType.F64, value.Rows, value.Columns);
        backend.Convert(value, work);
        backend.AddToDiagonal(work, epsilon);
        int failed = backend.InverseRoot(work, out double logDeterminant);
        if (failed != 0)
        {
            throw new FactorSolverException(
                stream.Name, $"a factor plus {epsilon}·I has no positive pivot at row {failed} of {value.Rows}",
                "more gradients or a larger ε are needed");
        }
        Tensor inverse = backend.Allocate(stream.Type, value.Rows, value.Columns);
        backend.Convert(work, inverse);
        return new Root(inverse, logDeterminant);
    }

    // L⁻¹ and ln det of a damped factor L Lᵀ.
    internal sealed record Root(Tensor Inverse, double LogDeterminant);
}
