using System.Diagnostics;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Models;

namespace FastKron.Native.Fisher;

/// <summary>Kronecker factors of every linear of a model from calibration sequences: sweeps the model and fits each linear while its
/// gradients live.</summary>
/// <remarks>
/// Resumable by linear: what <c>isWanted</c> refuses is not fitted again, and everything else comes out the same as in one run, because
/// labels depend only on seed and token number.
/// </remarks>
public sealed class FisherCollector(DecoderModel model, FisherOptions options)
{
    private readonly IBackend _backend = model.Backend;

    /// <summary>Seconds of the device in each stage of the last collection; empty before.</summary>
    public IReadOnlyDictionary<CollectionStage, double> StageSeconds { get; private set; } = new Dictionary<CollectionStage, double>();

    /// <summary>Makes factors.</summary>
    /// <param name="minibatches">K groups of sequences.</param>
    /// <param name="isWanted">Whether a linear, by module path, needs factors.</param>
    /// <param name="accept">Sees each wanted linear's factors in host memory, which is used again after the call: from the last block for
    /// gradients, from the first for activations. Called on another thread, one call at a time, while others are made; all calls have
    /// returned when this returns.</param>
    /// <param name="progress">Reports after each piece of work.</param>
    /// <param name="cancellationToken">Checked at least once per second of work on models of a size that the device suits.</param>
    /// <exception cref="ArgumentException">Options out of range, or without what they need.</exception>
    /// <exception cref="FactorSolverException">A linear's gradients or inputs are zero or not finite.</exception>
    public void Collect(
        IReadOnlyList<IReadOnlyList<int[]>> minibatches, Func<string, bool> isWanted, Action<KroneckerFactors> accept,
        IProgress<FisherProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        options.Check();
        long tokens = minibatches.Sum(m => m.Sum(s => (long)s.Length));
        using var output = new FactorOutput(_backend, model.Config, accept);
        if (options.Source == FactorSource.Activation)
        {
            StageSeconds = new ActivationSweep(model, options).Run(
                minibatches, isWanted, (linear, moment) => AddMoment(output, linear.Name, moment, tokens), progress, cancellationToken);
        }
        else
        {
            StageSeconds = new GradientSweep(model, options).Run(
                minibatches, isWanted, streams => Fit(output, streams, tokens, cancellationToken), progress, cancellationToken);
        }
        output.Complete();
    }

    private void Fit(FactorOutput output, IReadOnlyList<IKrausStream> streams, long tokens, CancellationToken cancellationToken)
    {
        bool solves = options.Source.DefaultPasses() == 0;
        foreach (IKrausStream[] some in streams.Chunk(solves && options.Solver.Kind == SolverKind.Likelihood ? streams.Count : 1))
        {
            IReadOnlyList<SolvedFactors> fitted = !solves ? [SketchSolver.Solve(some[0], options, cancellationToken)]
                : some.Length == 1 ? [FactorSolvers.Solve(some[0], options.Solver, cancellationToken)]
                : LikelihoodSolver.SolveTogether(some, options.Solver, cancellationToken);
            try
            {
                foreach ((IKrausStream stream, SolvedFactors solved) in some.Zip(fitted))
                    output.Add(stream.Name, solved.HOut, solved.HIn, solved.Evidence with { Tokens = tokens, Labels = options.Labels.ToText() });
            }
            finally
            {
                foreach (SolvedFactors solved in fitted)
                    solved.Dispose();
            }
        }
    }

    private void AddMoment(FactorOutput output, string name, Tensor moment, long tokens)
    {
        long start = Stopwatch.GetTimestamp();
        double diagonal = FactorSolverException.RequirePositive(_backend.MeanDiagonal(moment), name, 0, "mean diagonal of X ᵀX");
        FactorSolverException.RequirePositive(_backend.Norm(moment), name, 0, "norm of X ᵀX");
        using Tensor normalized = _backend.Allocate(DType.F32, moment.Rows, moment.Columns);   // the moment may serve several linears
        _backend.Convert(moment, normalized);
        _backend.Scale(1 / diagonal, normalized);
        output.Add(name, null, normalized, new FactorEvidence
        {
            Source = FactorSource.Activation.ToText(),
            Tokens = tokens,
            Scale = diagonal,
            Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds,
        });
    }
}
