using System.Diagnostics;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>Best fit of A ⊗ B in Frobenius norm by Golub–Kahan–Lanczos on the rearranged operator: the published FastKron method.</summary>
/// <remarks>
/// R V = U C and Rᵀ U = V Cᵀ + β v eᵀ with C upper bidiagonal, started at v₁ = vec(I)/√n, every new vector orthogonalised twice against
/// all earlier ones. The leading triplet (σ₁, p, q) of C has the residual ‖Rᵀu − σ₁v‖ = β·|last entry of p|, which is compared with σ₁.
/// The result is taken from C with its last column (β, v), which the last half-step has paid for. A step costs two half-steps; memory is
/// one A and one B a step. All vectors are exactly symmetric because the operator's results are. At convergence both factors are positive
/// semidefinite up to rounding, before it they need not be: nothing is projected. Source: G. Golub and W. Kahan, SIAM J. Numer. Anal. B 2
/// (1965).
/// </remarks>
public sealed class LanczosSolver : IFactorSolver
{
    /// <inheritdoc/>
    public SolvedFactors Solve(IKrausStream stream, SolverOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.LanczosSteps, 1);
        var clock = Stopwatch.StartNew();
        int before = stream.HalfSteps;
        var left = new List<Tensor>();    // U: (m, m) each, orthonormal
        var right = new List<Tensor>();   // V: (n, n) each, orthonormal
        try
        {
            SmallSvd projected = Bidiagonalize(stream, options, left, right, cancellationToken);
            Tensor a = Combine(stream, left, projected.Left);
            Tensor? b = null;
            try
            {
                b = Combine(stream, right, projected.Right);
                double sigma = projected.Values[0];
                double scale = sigma * PowerSolver.Normalize(stream, a, "A") * PowerSolver.Normalize(stream, b, "B");
                double? fisherNorm = stream.FisherNorm();
                var evidence = new FactorEvidence
                {
                    Source = stream.Source,
                    Solver = SolverKind.Lanczos.ToText(),
                    Gradients = stream.Operators,
                    HalfSteps = stream.HalfSteps - before,
                    Scale = FactorSolverException.RequirePositive(scale, stream.Name, stream.HalfSteps - before, "product of the traces of A and B"),
                    Sigma1 = sigma,
                    SigmaRatio = projected.Values[1] / sigma,
                    Explained = sigma * sigma / (fisherNorm * fisherNorm),
                    Seconds = clock.Elapsed.TotalSeconds,
                };
                return new SolvedFactors(a, b, evidence);
            }
            catch
            {
                a.Dispose();
                b?.Dispose();
                throw;
            }
        }
        finally
        {
            foreach (Tensor vector in left.Concat(right))
                vector.Dispose();
        }
    }

    // Fills both bases and returns the decomposition of C, extended by its last column: size (steps + 1)², last row 0.
    private static SmallSvd Bidiagonalize(
        IKrausStream stream, SolverOptions options, List<Tensor> left, List<Tensor> right, CancellationToken cancellationToken)
    {
        int before = stream.HalfSteps;
        double roundoff = stream.Type == DType.F64 ? 1e-14 : 1e-6;   // relative to σ₁: a shorter new vector is noise
        Tensor start = stream.Backend.Allocate(stream.Type, stream.Inputs, stream.Inputs);
        right.Add(start);
        stream.Backend.FillIdentity(start, 1 / Math.Sqrt(stream.Inputs));
        var diagonal = new List<double>();
        var above = new List<double>();
        double sigma = 0;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            double alpha = Extend(stream, KroneckerSide.Rows, right[^1], left, roundoff * sigma);
            if (sigma == 0)
                FactorSolverException.RequirePositive(alpha, stream.Name, 1, "norm of A");
            if (alpha == 0)
                return SmallSvd.Decompose(Bidiagonal([.. diagonal, 0], above));
            diagonal.Add(alpha);

            cancellationToken.ThrowIfCancellationRequested();
            SmallSvd square = SmallSvd.Decompose(Bidiagonal(diagonal, above));
            sigma = square.Values[0];
            double beta = Extend(stream, KroneckerSide.Columns, left[^1], right, roundoff * sigma);
            if (!double.IsFinite(alpha + beta))
            {
                throw new FactorSolverException(
                    stream.Name, $"Lanczos vector {stream.HalfSteps - before} is not finite", "the gradients overflow on this calibration text");
            }
            above.Add(beta);
            double residual = beta * Math.Abs(square.Left[diagonal.Count - 1, 0]);
            if (beta == 0 || residual < options.LanczosTolerance * sigma || diagonal.Count == options.LanczosSteps)
                return SmallSvd.Decompose(Bidiagonal([.. diagonal, 0], above));
        }
    }

    // Applies the operator to `source`, orthogonalises the result against `basis` and appends it, normalised; returns its norm, or 0
    // (appending nothing) if negligible.
    private static double Extend(IKrausStream stream, KroneckerSide side, Tensor source, List<Tensor> basis, double negligible)
    {
        IBackend backend = stream.Backend;
        int size = side == KroneckerSide.Rows ? stream.Outputs : stream.Inputs;
        Tensor next = backend.Allocate(stream.Type, size, size);
        basis.Add(next);   // owned by the basis from here on
        stream.Apply(side, source, next);
        double norm = backend.Orthogonalize(basis[..^1], next);
        if (norm <= negligible)
        {
            basis.RemoveAt(basis.Count - 1);
            next.Dispose();
            return 0;
        }
        backend.Scale(1 / norm, next);
        return norm;
    }

    // Σ coefficients[i, 0] basis[i]; coefficients beyond the basis are 0.
    private static Tensor Combine(IKrausStream stream, List<Tensor> basis, double[,] coefficients)
    {
        Tensor sum = stream.Backend.Allocate(stream.Type, basis[0].Rows, basis[0].Columns);
        stream.Backend.Fill(sum, 0);
        for (int i = 0; i < basis.Count; i++)
            stream.Backend.Axpy(coefficients[i, 0], basis[i], sum);
        return sum;
    }

    private static double[,] Bidiagonal(List<double> diagonal, List<double> above)
    {
        var c = new double[diagonal.Count, diagonal.Count];
        for (int i = 0; i < diagonal.Count; i++)
        {
            c[i, i] = diagonal[i];
            if (i + 1 < diagonal.Count)
                c[i, i + 1] = above[i];
        }
        return c;
    }
}
