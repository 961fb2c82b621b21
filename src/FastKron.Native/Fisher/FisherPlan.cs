using System.Globalization;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;

namespace FastKron.Native.Fisher;

/// <summary>How much a collection has to do.</summary>
/// <param name="Tokens">Calibration tokens.</param>
/// <param name="LongestSequence">Tokens of the longest sequence.</param>
/// <param name="LowestBlock">First block that needs factors; above 0 where a run is resumed.</param>
public readonly record struct CollectionSize(long Tokens, int LongestSequence, int LowestBlock = 0);

/// <summary>What a collection will hold, before it starts.</summary>
/// <remarks>
/// A state is the hidden state, or its gradient, of all tokens. They are kept on the device as far as they fit there; with fewer than one for each block the
/// missing ones are computed again (<see cref="InputSchedule"/>), with the same result. Page-locked host memory makes up for what is short of the fewest that
/// serve, and no more: to lock the memory of a state takes longer than to compute it again (8B shapes on one H100: 1.6 s and 0.5 s). Weights of blocks
/// for which the device has no room beside the least of all else are read again from the model's files whenever a sweep comes to them.
/// </remarks>
public sealed record FisherPlan
{
    // What allocations may be short of the memory that is free: pieces between them, and what libraries take.
    private const double Usable = 0.95;

    /// <summary>Blocks, from the first, whose weights stay on the device.</summary>
    public required int ResidentBlocks { get; init; }

    /// <summary>Most bytes of weights on the device at once: embedding, head, blocks that stay, and one that does not.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Bytes of activations and logits of one micro-batch on the device.</summary>
    public required long ScratchBytes { get; init; }

    /// <summary>Bytes of the gradients of the largest group of linears on the device; of a block's Gram matrices for activations.</summary>
    public required long StackBytes { get; init; }

    /// <summary>Most bytes that a solver holds on the device beside the stacks, for the largest linear or for small ones together.</summary>
    public required long SolverBytes { get; init; }

    /// <summary>Bytes of one state.</summary>
    public required long StateBytes { get; init; }

    /// <summary>States on the device.</summary>
    public required int ResidentStates { get; init; }

    /// <summary>States in page-locked host memory.</summary>
    public required int HostStates { get; init; }

    /// <summary>Bytes on the device for states of the host that are worked on.</summary>
    public required long WindowBytes { get; init; }

    /// <summary>Bytes of host memory from which factors are written while others are fitted.</summary>
    public required long OutputBytes { get; init; }

    /// <summary>Linears of a block whose gradients are on the device together; a block is swept once for each group.</summary>
    public required IReadOnlyList<IReadOnlyList<BlockLinear>> Groups { get; init; }

    /// <summary>Forward passes of one block that are made again for want of memory.</summary>
    public required int RecomputedBlocks { get; init; }

    /// <summary>What to tell the user about memory; null if nothing.</summary>
    public string? Warning { get; init; }

    /// <summary>Most bytes on the device at once, weights included.</summary>
    public long DeviceBytes => WeightBytes + ScratchBytes + WindowBytes + StackBytes + SolverBytes + ResidentStates * StateBytes;

    /// <summary>Most bytes of page-locked host memory at once.</summary>
    public long HostBytes => HostStates * StateBytes + OutputBytes;

    /// <summary>Plans a collection.</summary>
    /// <param name="config">The model.</param>
    /// <param name="options">What is collected.</param>
    /// <param name="size">How much.</param>
    /// <param name="backend">Where.</param>
    /// <param name="loaded">The model, if it is there already with the blocks that stay; null to plan them.</param>
    public static FisherPlan Create(ModelConfig config, FisherOptions options, CollectionSize size, IBackend backend, DecoderModel? loaded = null)
    {
        int perGradient = (int)Math.Min(int.MaxValue, (size.Tokens + options.Gradients - 1) / options.Gradients);
        int batch = Math.Max(size.LongestSequence, Math.Min(options.MicroBatchTokens ?? backend.BatchTokens, perGradient));
        int element = backend.ActivationType.Size();
        long state = size.Tokens * config.HiddenSize * element, window = (long)batch * config.HiddenSize * element;
        var shell = new FisherPlan
        {
            ResidentBlocks = 0,
            WeightBytes = 0,
            ScratchBytes = (backend.IsHost ? 0 : LibraryBytes) + DecoderModel.ScratchBytes(config, batch, backend) + size.Tokens * sizeof(int) * IntegersOfAToken,
            StackBytes = 0,
            SolverBytes = SolverBytesOf(config, options, size.LongestSequence, backend),
            StateBytes = state,
            ResidentStates = 0,
            HostStates = 0,
            WindowBytes = HiddenStore.WindowBuffers(usesHost: false) * window,
            OutputBytes = FactorOutput.Bytes(config),
            Groups = [],
            RecomputedBlocks = 0,
        };
        long device = (long)(Usable * (options.MaxDeviceBytes ?? backend.AvailableBytes + (loaded?.WeightBytes ?? 0)));
        bool activation = options.Source == FactorSource.Activation;
        int blocks = config.Layers - size.LowestBlock;
        int all = activation ? 1 : blocks + 1, fewest = activation ? 1 : InputSchedule.Fewest(config.Layers, size.LowestBlock) + 1;
        long wider = HiddenStore.WindowBuffers(usesHost: true) * window, stacks = activation ? BlockLinears.All.Sum(StackOf) : BlockLinears.All.Max(StackOf);
        long beside = shell.DeviceBytes - shell.WindowBytes + stacks + (backend.IsHost ? shell.WindowBytes + fewest * state : wider);
        shell = shell.WithWeights(config, element, loaded?.Blocks.Count, device - beside);
        shell = shell with { Groups = activation ? [BlockLinears.All] : Group(StackOf, device - shell.DeviceBytes - (backend.IsHost ? fewest * state : 0)) };
        shell = shell with { StackBytes = shell.Groups.Max(g => g.Sum(StackOf)) };

        int resident = (int)Math.Clamp((device - shell.DeviceBytes) / Math.Max(1, state), 0, all);
        if (backend.IsHost)
            return shell.WithStates(Math.Max(resident, fewest), 0, config, size, activation, resident < fewest ? Short("memory", device, shell.DeviceBytes + fewest * state) : null);

        if (resident < all)
            resident = (int)Math.Clamp((device - shell.DeviceBytes - wider) / Math.Max(1, state), 0, all);
        long host = (long)(Usable * HostMemory.AvailableBytes);
        int needed = Math.Max(0, fewest - resident);
        shell = shell with { WindowBytes = needed > 0 ? wider : window };
        string? warning = shell.DeviceBytes > device ? Short("device memory", device, shell.DeviceBytes)
            : shell.OutputBytes + needed * state > host ? Short("host memory", host, shell.OutputBytes + needed * state)
            : null;
        return shell.WithStates(resident, needed, config, size, activation, warning);

        long StackOf(BlockLinear linear) => StackBytesOf(linear, config, options, size.Tokens, element, perGradient > batch);
    }

    // Ids, positions, true labels, drawn labels.
    private const int IntegersOfAToken = 4;

    private FisherPlan WithStates(int resident, int host, ModelConfig config, CollectionSize size, bool activation, string? warning) => this with
    {
        ResidentStates = resident,
        HostStates = host,
        Warning = warning,
        RecomputedBlocks = activation ? 0 : new InputSchedule(config.Layers, size.LowestBlock, resident + host - 1).Recomputed,
    };

    private static string Short(string memory, long free, long needed) => string.Create(
        CultureInfo.InvariantCulture,
        $"{memory}: {needed / 1e9:F1} GB are needed, {free / 1e9:F1} GB seem to be free; if an allocation fails use fewer calibration tokens (--tokens)");

    // All blocks stay if they fit, else as many as fit beside the one that is worked on.
    private FisherPlan WithWeights(ModelConfig config, int element, int? loadedBlocks, long free)
    {
        long norms = 2L * config.HiddenSize + (config.HasQueryKeyNorm ? 2 * config.HeadDimension : 0), rotary = (long)config.MaxPositions * config.HeadDimension;
        long block = BlockLinears.All.Select(l => l.Shape(config)).Sum(s => (long)s.Outputs * s.Inputs) * element + norms * sizeof(float);
        long others = (config.TiedHead ? 1 : 2) * (long)config.VocabularySize * config.HiddenSize * element + (config.HiddenSize + rotary) * sizeof(float);
        int fit = (int)Math.Clamp((free - others) / block, 0, config.Layers), resident = loadedBlocks ?? (fit == config.Layers ? fit : Math.Max(0, fit - 1));
        return this with { ResidentBlocks = resident, WeightBytes = others + Math.Min(config.Layers, resident + 1) * block };
    }

    // As few groups as fit, in the order of the linears; one that fits nowhere stands alone.
    private static List<IReadOnlyList<BlockLinear>> Group(Func<BlockLinear, long> bytesOf, long free)
    {
        var groups = new List<IReadOnlyList<BlockLinear>>();
        var open = new List<BlockLinear>();
        long used = 0;
        foreach (BlockLinear linear in BlockLinears.All)
        {
            long bytes = bytesOf(linear);
            if (open.Count > 0 && used + bytes > free)
            {
                groups.Add([.. open]);
                open.Clear();
                used = 0;
            }
            open.Add(linear);
            used += bytes;
        }
        groups.Add(open);
        return groups;
    }

    private static long StackBytesOf(BlockLinear linear, ModelConfig config, FisherOptions options, long tokens, int element, bool inPieces)
    {
        (int outputs, int inputs) = linear.Shape(config);
        if (options.Source == FactorSource.Activation)
            return BlockLinears.Groups.Any(group => group[0] == linear) ? Square(inputs) * sizeof(float) : 0;
        if (options.Source != FactorSource.FastKron)
            return tokens * (outputs + inputs) * element;
        // A gradient that comes in pieces is summed in F32.
        return (long)outputs * inputs * (options.Gradients * options.GradientType.Size() + (inPieces ? sizeof(float) : 0));
    }

    private static long Square(long n) => n * n;

    // Of the largest linear, or of the small ones together; all share the products.
    private static long SolverBytesOf(ModelConfig config, FisherOptions options, int longest, IBackend backend)
    {
        (int Outputs, int Inputs)[] shapes = [.. BlockLinears.All.Select(l => l.Shape(config))];
        bool together = options.Solver.Kind == SolverKind.Likelihood && options.Source is FactorSource.FastKron or FactorSource.PerSequence;
        long largest = shapes.Max(shape => IterateBytesOf(shape, options));
        long small = shapes.Where(shape => together && Math.Max(shape.Outputs, shape.Inputs) <= LikelihoodSolver.LargestTogether).Sum(shape => IterateBytesOf(shape, options));
        return Math.Max(largest, small) + shapes.Max(shape => ProductBytesOf(shape, options, longest, backend));
    }

    // Likelihood: value and next of both sides, one F64 factorisation and its F32 root.
    private static long IterateBytesOf((int Outputs, int Inputs) shape, FisherOptions options)
    {
        long pair = (Square(shape.Outputs) + Square(shape.Inputs)) * sizeof(float), largest = Square(Math.Max(shape.Outputs, shape.Inputs));
        return options.Source switch
        {
            FactorSource.Activation => Square(shape.Inputs) * sizeof(float),
            // The narrow factor, F64 for a root.
            FactorSource.SketchA or FactorSource.TokenLikelihood => 2 * pair + largest * (2 * sizeof(double) + sizeof(float) + sizeof(short)),
            _ => options.Solver.Kind switch
            {
                SolverKind.Likelihood => 2 * pair + largest * (2 * sizeof(double) + sizeof(float)),
                SolverKind.Power => 2 * pair,
                _ => (options.Solver.LanczosSteps + 2L) * pair,
            },
        };
    }

    // What the backend and a stream need to multiply.
    private static long ProductBytesOf((int Outputs, int Inputs) shape, FisherOptions options, int longest, IBackend backend)
    {
        if (options.Source == FactorSource.Activation)
            return 0;
        if (options.Source is FactorSource.SketchA or FactorSource.TokenLikelihood)
            return TokenStream.ChunkTokens * (shape.Outputs + shape.Inputs) * (long)sizeof(float);      // products and weighed rows of a chunk
        long made = options.Source == FactorSource.FastKron ? 0 : SequenceStream.ScratchBytes(backend, shape.Outputs, shape.Inputs, options.GradientType, longest);
        return made + (backend.IsHost ? (long)shape.Outputs * shape.Inputs * options.Gradients * sizeof(float) : ProductBytes);
    }

    // Workspaces of a device's libraries, lists of work.
    private const long LibraryBytes = 64L << 20;

    // Intermediate products of a Kronecker operation, libraries' workspaces.
    private const long ProductBytes = 1L << 30;
}
