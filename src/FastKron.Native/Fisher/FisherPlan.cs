using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;

namespace FastKron.Native.Fisher;

/// <summary>What a collection will need.</summary>
public sealed record FisherPlan
{
    /// <summary>Bytes of host memory for the inputs of blocks and the gradient of the hidden states.</summary>
    public required long HostBytes { get; init; }

    /// <summary>Bytes of the largest block's gradient stacks on the device; of its Gram matrices for activations.</summary>
    public required long StackBytes { get; init; }

    /// <summary>Most bytes a solver holds on the device beside the stacks, for the largest linear.</summary>
    public required long SolverBytes { get; init; }

    /// <summary>Bytes of the seven linears of every block.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Inputs are kept for every block of this distance; those between are recomputed.</summary>
    public required int CheckpointInterval { get; init; }

    /// <summary>Estimates a collection over <paramref name="tokens"/> tokens.</summary>
    /// <exception cref="InsufficientMemoryException">The inputs of blocks do not fit <see cref="FisherOptions.MaxHostBytes"/>: bytes
    /// needed, allowed, cure.</exception>
    public static FisherPlan Create(ModelConfig config, FisherOptions options, long tokens, DType activationType)
    {
        (int Outputs, int Inputs)[] shapes = [.. BlockLinears.All.Select(l => l.Shape(config))];
        long blockWeights = shapes.Sum(s => (long)s.Outputs * s.Inputs);
        long hidden = tokens * config.HiddenSize * activationType.Size();
        if (options.Source == FactorSource.Activation)
        {
            return new FisherPlan
            {
                HostBytes = hidden,
                StackBytes = ActivationSweep.Groups.Sum(l => Square(l.Shape(config).Inputs)) * sizeof(float),
                SolverBytes = 0,
                WeightBytes = config.Layers * blockWeights * activationType.Size(),
                CheckpointInterval = 1,
            };
        }
        int interval = Interval(config.Layers, hidden, options.MaxHostBytes ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2);
        return new FisherPlan
        {
            HostBytes = hidden * HiddenCopies(config.Layers, interval),
            StackBytes = blockWeights * options.Gradients * options.GradientType.Size(),
            SolverBytes = shapes.Max(s => SolverBytesOf(s.Outputs, s.Inputs, options)),
            WeightBytes = config.Layers * blockWeights * activationType.Size(),
            CheckpointInterval = interval,
        };
    }

    private static long Square(long n) => n * n;

    // Likelihood: value and next of both sides, one F64 factorisation and its F32 root, and P of the product's size.
    private static long SolverBytesOf(int outputs, int inputs, FisherOptions options)
    {
        long pair = (Square(outputs) + Square(inputs)) * sizeof(float), largest = Square(Math.Max(outputs, inputs));
        return options.Solver.Kind switch
        {
            SolverKind.Likelihood => 2 * pair + largest * (sizeof(double) + sizeof(float)),
            SolverKind.Power => 2 * pair,
            _ => (options.Solver.LanczosSteps + 2L) * pair,
        };
    }

    // Inputs kept from the forward pass, those of one segment but its first, and the gradient.
    private static int HiddenCopies(int layers, int interval) => (layers + interval - 1) / interval + Math.Min(interval, layers);

    private static int Interval(int layers, long hiddenBytes, long allowed)
    {
        int best = 1;
        for (int interval = 1; interval <= layers; interval++)
        {
            if (HiddenCopies(layers, interval) * hiddenBytes <= allowed)
                return interval;
            if (HiddenCopies(layers, interval) < HiddenCopies(layers, best))
                best = interval;
        }
        throw new InsufficientMemoryException(
            $"inputs of blocks: {HiddenCopies(layers, best) * hiddenBytes:N0} bytes are needed at least, {allowed:N0} are allowed; "
            + "use fewer calibration tokens (--tokens)");
    }
}
