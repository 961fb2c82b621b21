using System.Diagnostics;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>Maximum-likelihood row and column covariances of matrix-normal gradients: the flip-flop iteration, Gauss–Seidel from B = I.</summary>
/// <remarks>
/// A = (1/Kn) Σ G_k B⁻¹ G_kᵀ, B = (1/Km) Σ G_kᵀ A⁻¹ G_k. Every direction is measured in its own scale, so a few large gradients do not
/// rule the fit as they do in the Frobenius norm. Half-step: P_k = G_k L⁻ᵀ, A = Σ P_k P_kᵀ / K, then Ã = A/d(A) + εI = L Lᵀ in float64 (d
/// = mean diagonal): positive semidefinite at every step. Cost of a half-step: K·mn(m + n) operations in triangular form and about n³ in
/// float64. Several linears may be fitted side by side, with the result of one at a time: inverse roots of equal orders are then made together.
/// Source: P. Dutilleul, "The MLE algorithm for the matrix normal distribution", J. Stat. Comput. Simul. 64 (1999).
/// </remarks>
public sealed class LikelihoodSolver : IFactorSolver
{
    /// <summary>Order of factors up to which a device is idle for most of a half-step if linears are fitted one after the other.</summary>
    public const int LargestTogether = 2048;

    /// <inheritdoc/>
    public SolvedFactors Solve(IKrausStream stream, SolverOptions options, CancellationToken cancellationToken = default) =>
        SolveTogether([stream], options, cancellationToken)[0];

    /// <summary>Fits several linears side by side.</summary>
    /// <param name="streams">On one backend, of one type.</param>
    /// <param name="options">The same for all.</param>
    /// <param name="cancellationToken">Checked before each half-step.</param>
    /// <returns>Of every stream, in order; their seconds are equal shares.</returns>
    /// <exception cref="FactorSolverException">An iterate is zero or not finite.</exception>
    public static IReadOnlyList<SolvedFactors> SolveTogether(IReadOnlyList<IKrausStream> streams, SolverOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.HalfSteps, 1);
        var clock = Stopwatch.StartNew();
        var fits = new List<Fit>(streams.Count);
        try
        {
            foreach (IKrausStream stream in streams)
                fits.Add(new Fit(stream));
            for (int step = 0; step < options.HalfSteps; step++)
            {
                KroneckerSide side = step % 2 == 0 ? KroneckerSide.Rows : KroneckerSide.Columns;
                foreach (Fit fit in fits)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    fit.Stream.Gram(side, fit.Root?.Inverse, fit.Factor(side).Next);
                }
                foreach (Fit fit in fits)
                    fit.Accept(side, options.Epsilon);
                foreach (IGrouping<int, Fit> equal in fits.GroupBy(fit => fit.Factor(side).Value.Rows))
                    InvertTogether([.. equal], side, options.Epsilon);
            }
            double seconds = clock.Elapsed.TotalSeconds / fits.Count;
            return [.. fits.Select(fit => fit.Release(seconds))];
        }
        finally
        {
            foreach (Fit fit in fits)
                fit.Dispose();
        }
    }

    /// <summary>L⁻¹ of value + εI = L Lᵀ, made in F64, in the stream's type.</summary>
    internal static Tensor InverseRoot(IKrausStream stream, Tensor value, double epsilon) => InverseRoots([stream], [value], epsilon)[0].Inverse;

    private static void InvertTogether(IReadOnlyList<Fit> fits, KroneckerSide side, double epsilon)
    {
        FactorRoot[] roots = InverseRoots([.. fits.Select(fit => fit.Stream)], [.. fits.Select(fit => fit.Factor(side).Value)], epsilon);
        foreach ((Fit fit, FactorRoot root) in fits.Zip(roots))
            fit.Replace(root, side, epsilon);
    }

    // Of factors of one order.
    private static FactorRoot[] InverseRoots(IReadOnlyList<IKrausStream> streams, IReadOnlyList<Tensor> values, double epsilon)
    {
        IBackend backend = streams[0].Backend;
        int n = values[0].Rows, count = values.Count;
        using Tensor work = backend.Allocate(DType.F64, checked(count * n), n), determinants = backend.Allocate(DType.F64, count, 1), failures = backend.Allocate(DType.I32, count, 1);
        for (int i = 0; i < count; i++)
        {
            Tensor one = work.SliceRows(i * n, n);
            backend.Convert(values[i], one);
            backend.AddToDiagonal(one, epsilon);
        }
        backend.InverseRoots(work, determinants, failures);
        double[] logarithms = new double[count];
        int[] failed = new int[count];
        backend.Download<double>(determinants, logarithms);
        backend.Download<int>(failures, failed);
        if (Array.FindIndex(failed, row => row != 0) is >= 0 and int bad)
        {
            throw new FactorSolverException(
                streams[bad].Name, $"a factor plus {epsilon}·I has no positive pivot at row {failed[bad]} of {n}", "more gradients or a larger ε are needed");
        }
        var roots = new FactorRoot[count];
        for (int i = 0; i < count; i++)
        {
            roots[i] = new FactorRoot(backend.Allocate(streams[i].Type, n, n), logarithms[i]);
            backend.Convert(work.SliceRows(i * n, n), roots[i].Inverse);
        }
        return roots;
    }

    // L⁻¹ and ln det of a damped factor L Lᵀ.
    private sealed record FactorRoot(Tensor Inverse, double LogDeterminant);

    // One linear on its way.
    private sealed class Fit(IKrausStream stream) : IDisposable
    {
        private readonly FactorIterate _a = new(stream.Backend, stream.Type, stream.Outputs, 1), _b = new(stream.Backend, stream.Type, stream.Inputs, 1);
        private readonly List<double> _likelihood = [];
        private readonly int _before = stream.HalfSteps;
        private double _diagonal, _scale;

        public IKrausStream Stream => stream;

        // The first half-step starts from B = I. Its ε is left out, which changes only the scale of A.
        public FactorRoot? Root { get; private set; }

        public FactorIterate Factor(KroneckerSide side) => side == KroneckerSide.Rows ? _a : _b;

        // The covariance given the other factor's root becomes the factor, with mean diagonal 1.
        public void Accept(KroneckerSide side, double epsilon)
        {
            FactorIterate factor = Factor(side);
            int number = _likelihood.Count + 1;
            char symbol = side == KroneckerSide.Rows ? 'A' : 'B';
            _diagonal = FactorSolverException.RequirePositive(stream.Backend.MeanDiagonal(factor.Next), stream.Name, number, $"mean diagonal of {symbol}");
            FactorSolverException.RequirePositive(factor.Accept(_diagonal), stream.Name, number, $"norm of {symbol}");

            // The covariance is A/n ⊗ B̃ or Ã ⊗ B/m, where the other factor's mean diagonal is 1 + ε.
            _scale = _diagonal * (Root is null ? 1 : 1 + epsilon) / Factor(Other(side)).Value.Rows;
        }

        // Takes the factor's own root and appends the log-likelihood.
        public void Replace(FactorRoot root, KroneckerSide side, double epsilon)
        {
            double given = Root?.LogDeterminant ?? 0, size = root.Inverse.Rows, other = Factor(Other(side)).Value.Rows;
            Root?.Inverse.Dispose();
            Root = root;

            // The Gaussian at (d Ã/n, B̃), or (Ã, d B̃/m): its trace term Σ tr(Ã⁻¹ G B̃⁻¹ Gᵀ) n/d is K n tr(Ã⁻¹ A/d) = K n (m − ε tr Ã⁻¹).
            double trace = size - epsilon * stream.Backend.Dot(root.Inverse, root.Inverse);
            _likelihood.Add(-0.5 * stream.Operators * (other * (root.LogDeterminant + size * Math.Log(_diagonal / other) + trace) + size * given));
        }

        public SolvedFactors Release(double seconds)
        {
            var evidence = new FactorEvidence
            {
                Source = stream.Source,
                Solver = SolverKind.Likelihood.ToText(),
                Gradients = stream.Operators,
                HalfSteps = stream.HalfSteps - _before,
                Scale = _scale,
                ChangeOut = _a.Changes,
                ChangeIn = _b.Changes,
                LogLikelihood = _likelihood,
                Seconds = seconds,
            };
            return new SolvedFactors(_a.Release(), _b.Release(), evidence);
        }

        public void Dispose()
        {
            Root?.Inverse.Dispose();
            _a.Dispose();
            _b.Dispose();
        }

        private static KroneckerSide Other(KroneckerSide side) => side == KroneckerSide.Rows ? KroneckerSide.Columns : KroneckerSide.Rows;
    }
}
