using System.Globalization;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>Which factors are made and how.</summary>
public sealed record FisherOptions
{
    /// <summary>Both factors from gradients, or the input side from activations.</summary>
    public FactorSource Source { get; init; } = FactorSource.FastKron;

    /// <summary>How factors are fitted to gradients.</summary>
    public SolverOptions Solver { get; init; } = new();

    /// <summary>Passes of token-likelihood and the sketches over the data; null for <see cref="FisherNames.DefaultPasses"/>.</summary>
    public int? Passes { get; init; }

    /// <summary>Labels of the loss.</summary>
    public LabelSource Labels { get; init; } = LabelSource.Sampled;

    /// <summary>What is subtracted from the gradients.</summary>
    public GradientCentering Centering { get; init; } = GradientCentering.None;

    /// <summary>K, minibatches into which the calibration set is split, one gradient each.</summary>
    public int Gradients { get; init; } = 75;

    /// <summary>Seed of sampled labels. A quantize or factor run puts its own in this place.</summary>
    public ulong Seed { get; init; }

    /// <summary>Tokens that go through the model at once; a longer sequence still goes alone. Null: as many as suit the device. Changes the order
    /// of float32 sums.</summary>
    public int? MicroBatchTokens { get; init; }

    /// <summary>Type of stored gradients: BF16 or F32.</summary>
    public DType GradientType { get; init; } = DType.BF16;

    /// <summary>Bytes that may be used on the device, weights included; null: what is free. Less means copies and recomputation, with the same
    /// result.</summary>
    public long? MaxDeviceBytes { get; init; }

    /// <summary>Refuses what would fail only when the first gradients are there.</summary>
    /// <exception cref="ArgumentException">Option, found, expected.</exception>
    internal void Check()
    {
        if (Gradients < 1)
            throw new ArgumentException($"--gradients {Gradients}: expected at least 1");
        if (Centering != GradientCentering.None && Source != FactorSource.FastKron)
            throw new ArgumentException($"--centre with --factors {Source.ToText()}: only minibatch gradients have a mean that is taken away; leave it out, or give fastkron");
        (int steps, int fewest) = Source switch
        {
            FactorSource.SketchA or FactorSource.TokenLikelihood => (Passes ?? Source.DefaultPasses(), 2),    // both factors
            FactorSource.SketchB => (Passes ?? Source.DefaultPasses(), 1),
            FactorSource.Activation => (1, 1),
            _ => (Solver.MostHalfSteps, 1),
        };
        if (steps < fewest)
            throw new ArgumentException($"--factors {Source.ToText()}: found {steps} passes or half-steps (--iterations, --half-steps), expected at least {fewest}");
        if (!(Solver.Epsilon >= 0))
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"ε of the likelihood solver: found {Solver.Epsilon}, expected at least 0"));
        if (GradientType is not (DType.BF16 or DType.F32))
            throw new ArgumentException($"type of stored gradients: found {GradientType}, expected BF16 or F32");
    }
}
