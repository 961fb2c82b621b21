using System.Diagnostics;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>The estimators that go over the data a few times instead of fitting until nothing changes: Sketch A, Sketch B, token-likelihood.</summary>
/// <remarks>
/// Sketch A: B = (1/T) Σ x xᵀ, then A = (1/T) Σ (xᵀBx) d dᵀ, then B = (1/T) Σ (dᵀAd) x xᵀ, and so on. Token-likelihood: the same with B̃⁻¹ and Ã⁻¹,
/// X̃ = X + εI. Sketch B: B = (1/S) Σ G_sᵀG_s and A = (1/S) Σ G_sG_sᵀ, then A from B and B from A as power iterations. Each factor is divided by its
/// mean diagonal, which also takes out the published 1/‖B‖²_F. Source: YAQA, Tseng et al., arXiv:2505.22988, section 3, algorithms as in
/// hessians-and-rounding.md sections 2.1 and 3.
/// </remarks>
internal static class SketchSolver
{
    /// <summary>Runs the passes of <see cref="FisherOptions.Source"/>.</summary>
    /// <param name="stream">Tokens for Sketch A and token-likelihood, sequences for Sketch B.</param>
    /// <param name="options">Source, passes, ε.</param>
    /// <param name="cancellationToken">Checked before each pass.</param>
    /// <exception cref="FactorSolverException">A factor is zero or not finite.</exception>
    public static SolvedFactors Solve(IKrausStream stream, FisherOptions options, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        IBackend backend = stream.Backend;
        int passes = options.Passes ?? options.Source.DefaultPasses();
        using var a = new FactorIterate(backend, stream.Type, stream.Outputs, 1);
        using var b = new FactorIterate(backend, stream.Type, stream.Inputs, 1);
        double scale;
        if (stream is TokenStream tokens)
        {
            tokens.InputMoment(b.Next);
            scale = Accept(stream, b, "B");
        }
        else
        {
            stream.Gram(KroneckerSide.Columns, null, b.Next);
            Accept(stream, b, "B");
            stream.Gram(KroneckerSide.Rows, null, a.Next);
            scale = Accept(stream, a, "A") / stream.Inputs;      // the trace of the Fisher matrix is kept
        }
        for (int pass = 1; pass < passes; pass++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            bool rows = pass % 2 == 1;
            KroneckerSide side = rows ? KroneckerSide.Rows : KroneckerSide.Columns;
            (FactorIterate from, FactorIterate to) = rows ? (b, a) : (a, b);
            if (options.Source == FactorSource.TokenLikelihood)
            {
                using Tensor root = LikelihoodSolver.InverseRoot(stream, from.Value, options.Solver.Epsilon);
                stream.Gram(side, root, to.Next);
                scale = Accept(stream, to, rows ? "A" : "B") * (1 + options.Solver.Epsilon) / from.Value.Rows;
            }
            else
            {
                stream.Apply(side, from.Value, to.Next);
                scale = Accept(stream, to, rows ? "A" : "B") / backend.Dot(from.Value, from.Value);
            }
        }
        var evidence = new FactorEvidence
        {
            Source = stream.Source,
            Gradients = stream.Operators,
            HalfSteps = stream.HalfSteps,
            Scale = scale,
            ChangeOut = a.Changes,
            ChangeIn = b.Changes,
            Seconds = clock.Elapsed.TotalSeconds,
        };
        return new SolvedFactors(a.Release(), b.Release(), evidence);
    }

    private static double Accept(IKrausStream stream, FactorIterate factor, string symbol)
    {
        double diagonal = FactorSolverException.RequirePositive(stream.Backend.MeanDiagonal(factor.Next), stream.Name, stream.HalfSteps, $"mean diagonal of {symbol}");
        factor.Accept(diagonal);
        FactorSolverException.RequirePositive(stream.Backend.Norm(factor.Value), stream.Name, stream.HalfSteps, $"norm of {symbol}");
        return diagonal;
    }
}
