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
}
