using System.Diagnostics;
using FastKron.Native.Formats;

namespace FastKron.Native.Fisher;

/// <summary>Turns finished floating-point operations into <see cref="FisherProgress"/> reports.</summary>
internal sealed class ProgressMeter(IProgress<FisherProgress>? progress, int layers, double total)
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private double _done;

    /// <summary>Counts work and reports.</summary>
    public void Add(double flops, int layer, string? module = null)
    {
        _done += flops;
        progress?.Report(new FisherProgress(layer, layers, module, Math.Min(1, _done / total), Stopwatch.GetElapsedTime(_start)));
    }
}

/// <summary>Floating-point operations of the pieces of a collection; multiplications and additions count one each.</summary>
internal static class FisherWork
{
    /// <summary>Of a forward pass through one block, per token.</summary>
    public static double Forward(ModelConfig config) =>
        2.0 * BlockLinears.All.Select(l => l.Shape(config)).Sum(shape => (double)shape.Outputs * shape.Inputs);

    /// <summary>Of one block's backward pass, per token: recomputation, input gradients, weight gradients.</summary>
    public static double Backward(ModelConfig config) => 3 * Forward(config);

    /// <summary>Of logits and the gradient of the final hidden state, per token.</summary>
    public static double Head(ModelConfig config) => 4.0 * config.VocabularySize * config.HiddenSize;

    /// <summary>Of all half-steps of one linear: dense products with one triangle of the second, or both triangular; of sources that keep tokens, the passes
    /// over them.</summary>
    public static double Solver(FisherOptions options, int gradients, long tokens, int outputs, int inputs)
    {
        SolverOptions solver = options.Solver;
        double weights = (double)outputs * inputs, squares = (double)outputs * outputs + (double)inputs * inputs;
        if (options.Source is FactorSource.SketchA or FactorSource.TokenLikelihood)
            return (options.Passes ?? options.Source.DefaultPasses()) * tokens * (squares + Math.Max(outputs, inputs));
        int halfSteps = options.Source == FactorSource.SketchB ? 1 + (options.Passes ?? options.Source.DefaultPasses()) : solver.MostHalfSteps;
        double share = solver.Kind == SolverKind.Likelihood ? 1 : 1.5;
        double made = options.Source == FactorSource.FastKron ? 0 : 2.0 * tokens * weights;    // the sequences' gradients, anew in each half-step
        return halfSteps * (share * gradients * weights * (outputs + inputs) + made);
    }
}
