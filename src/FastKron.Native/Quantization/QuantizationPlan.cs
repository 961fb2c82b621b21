using System.Diagnostics;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Reports;

namespace FastKron.Native.Quantization;

/// <summary>What a run will need, before it starts; everything that could fail late is checked while making it.</summary>
/// <param name="Model">Folder of the original.</param>
/// <param name="Linears">What is quantized and what is not.</param>
/// <param name="Memory">Estimated bytes of the largest stage, by what they hold.</param>
/// <param name="DiskBytes">Estimated bytes of run directory and output together, less what an earlier run left there.</param>
/// <param name="DiskFree">Bytes free where the output goes.</param>
/// <param name="Stages">Estimated seconds per stage, from a short measurement of this machine's speed.</param>
/// <param name="Finished">Steps that an earlier run with the same output finished, which need not be done again.</param>
/// <param name="Warning">What may fail for want of memory, or null.</param>
public sealed record QuantizationPlan(
    string Model, LinearSelection Linears, IReadOnlyList<(string What, long Bytes)> Memory, long DiskBytes, long DiskFree, IReadOnlyList<StageReport> Stages,
    int Finished = 0, string? Warning = null)
{
    /// <summary>Checks options and model and estimates the run.</summary>
    /// <param name="options">The run.</param>
    /// <param name="backend">Where.</param>
    /// <param name="factorsOnly">Whether the run ends with the factors.</param>
    /// <exception cref="InvalidDataException">The model, or an output that exists.</exception>
    /// <exception cref="IOException">Not enough room on the disk: needed, free.</exception>
    /// <exception cref="NotSupportedException">Shapes that cannot be quantized, with the option that leaves them dense.</exception>
    public static QuantizationPlan Make(QuantizationOptions options, IBackend backend, bool factorsOnly = false)
    {
        options.Check();
        RequireAbsentOrBegun(options.Output);
        using ModelFolder folder = ModelFolder.Open(options.Model);
        ModelConfig config = folder.Config;
        if (config.Quantization is not null)
            throw new NotSupportedException($"{options.Model}: is quantized already; give the original folder");
        folder.RequireDenseShapes();
        LinearSelection linears = LinearSelection.Choose(config, options.Skip);
        if (options.FactorsFrom is { } made && Directory.Exists(made))      // a batch plans jobs whose factors will be made by then
            FactorStage.Require(made, linears);
        long weights = linears.Quantized.Sum(l => l.Weights), stored = folder.TensorNames.Sum(name => folder.Describe(name).Bytes), parameters = folder.Parameters;
        bool makesFactors = options.Fisher is not null && options.FactorsFrom is null;
        CollectionSize size = makesFactors ? CalibrationStage.SizeOf(options, config) : default;
        if (makesFactors)
            options = options with { Tokens = checked((int)size.Tokens) };
        long factorBytes = linears.Quantized.Sum(l => Triangle(l.Columns) + (options.Fisher is { Source: not FactorSource.Activation } ? Triangle(l.Rows) : 0)) * sizeof(float);
        long dense = linears.Quantized.Sum(l => folder.Describe(l.Name + ".weight").Bytes), codes = (long)(weights * options.Bits / 8);
        long output = stored - dense + (options.Format == CheckpointFormat.Qtip ? codes : weights * DType.BF16.Size());
        long disk = (factorsOnly ? 0 : output + codes) + (makesFactors ? factorBytes + 4L * options.Tokens : 0);

        string runFolder = options.Output + ".run";
        disk = Math.Max(0, disk - BytesOf(runFolder));
        string existing = Path.GetFullPath(options.Output);
        while (!Directory.Exists(existing))
            existing = Path.GetDirectoryName(existing) ?? throw new DirectoryNotFoundException($"{options.Output}: found no such drive; choose another --output");
        long free = new DriveInfo(existing).AvailableFreeSpace;
        if (free < disk)
            throw new IOException($"{options.Output}: needs about {ByteSize.ToText(disk)} of disk, {ByteSize.ToText(free)} are free; make room or choose another --output");

        FisherPlan? fisher = makesFactors ? FisherPlan.Create(config, options.Fisher!, size, backend) : null;
        List<(string, long)> memory = fisher is null ? [("weights", parameters * backend.ActivationType.Size())] : MemoryOf(fisher, config, backend);
        if (!factorsOnly && options.PropagatedShare > 0)
            memory.Add(("a block in the original and the quantized model, while rounding", PropagationSweep.Bytes(config, backend, PropagatedTokens(options))));
        return new QuantizationPlan(options.Model, linears, memory, disk, free, Estimate(options, backend, config, linears, weights, parameters, fisher, disk, factorsOnly), RunDirectory.CountFinished(runFolder), fisher?.Warning);
    }

    /// <summary>Refuses an output that exists, unless a run directory beside it says whose it is.</summary>
    internal static void RequireAbsentOrBegun(string output)
    {
        if (!Directory.Exists(output + ".run"))
            RequireAbsent(output);
    }

    /// <summary>Refuses an output that exists.</summary>
    internal static void RequireAbsent(string output)
    {
        if (Path.Exists(output))
            throw new InvalidDataException($"{output}: exists already; delete it or choose another --output");
    }

    private static List<(string What, long Bytes)> MemoryOf(FisherPlan plan, ModelConfig config, IBackend backend)
    {
        List<(string, long)> memory =
        [
            (plan.ResidentBlocks < config.Layers ? $"weights, of which {plan.ResidentBlocks} of {config.Layers} blocks stay" : "weights", plan.WeightBytes), ("activations and logits of a batch", plan.ScratchBytes), ("gradients of one block", plan.StackBytes),
            ("solver", plan.SolverBytes), ($"{plan.ResidentStates} hidden states", plan.ResidentStates * plan.StateBytes + plan.WindowBytes),
        ];
        if (backend.IsHost)
            return [.. memory, ("factors on their way to the disk", plan.OutputBytes)];
        return
        [
            .. memory, ("device, in all", plan.DeviceBytes), ($"host, {plan.HostStates} hidden states", plan.HostStates * plan.StateBytes),
            ("host, factors on their way to the disk", plan.OutputBytes),
        ];
    }

    // Floating-point operations of each stage over the speed of one product and one encode, measured for some tens of milliseconds. On a CPU stages reach those;
    // on a device, by the records collect-8b and round-8b of an H100, the passes and the solver 0.6 to 0.8 of the product's, and encoding is half of rounding.
    private static List<StageReport> Estimate(
        QuantizationOptions options, IBackend backend, ModelConfig config, LinearSelection linears, long weights, long parameters, FisherPlan? fisher, long diskBytes, bool factorsOnly)
    {
        const double DiskBytesPerSecond = 800e6, ReachedByPasses = 0.65, EncodingInRounding = 0.5;
        double flops = MeasureProduct(backend) * (backend.IsHost ? 1 : ReachedByPasses);
        double encode = MeasureEncode(backend, options.LinearSettings((int)options.Bits)) * (backend.IsHost ? 1 : EncodingInRounding);
        var stages = new List<StageReport>();
        if (fisher is not null)
        {
            if (CalibrationStage.IsSelf(options.Calibration))
                stages.Add(new StageReport("calibration", 2.0 * parameters * options.Tokens / (flops / 2)));   // narrow products reach about half the speed
            stages.Add(new StageReport("factors", FactorFlops(options, config, linears, fisher) / flops));
        }
        if (factorsOnly)
            return stages;
        double feedback = linears.Quantized.Sum(l => 2.0 * l.Rows * l.Columns * ((double)l.Rows + l.Columns));
        double propagation = options.PropagatedShare > 0 ? PropagatedTokens(options) * PropagationSweep.OperationsPerToken(config) : 0;
        stages.Add(new StageReport("rounding", weights / encode + (feedback + propagation) / flops));
        stages.Add(new StageReport("writing and checking", 3 * diskBytes / DiskBytesPerSecond));
        return stages;
    }

    private static long PropagatedTokens(QuantizationOptions options) =>
        options.FactorsFrom is null ? Math.Min(options.Tokens, options.PropagatedTokens) : options.PropagatedTokens;

    // Activations: one forward pass and a Gram product per input. Gradients: forward, recomputation, input and weight gradients, the head both ways, the half-steps.
    private static double FactorFlops(QuantizationOptions options, ModelConfig config, LinearSelection linears, FisherPlan plan)
    {
        FisherOptions fisher = options.Fisher!;
        double forward = FisherWork.Forward(config);
        if (fisher.Source == FactorSource.Activation)
            return options.Tokens * (config.Layers * forward + linears.Quantized.Sum(l => (double)l.Columns * l.Columns));
        return options.Tokens * ((config.Layers + plan.RecomputedBlocks) * forward + config.Layers * FisherWork.Backward(config) + FisherWork.Head(config))
            + linears.Quantized.Sum(l => FisherWork.Solver(fisher, fisher.Gradients, options.Tokens, l.Rows, l.Columns));
    }

    // Large enough to fill what runs it.
    private static double MeasureProduct(IBackend backend)
    {
        int size = backend.IsHost ? 512 : 4096;
        DType type = backend.ActivationType;
        using Tensor a = backend.Allocate(type, size, size), b = backend.Allocate(type, size, size), c = backend.Allocate(type, size, size);
        backend.Fill(a, 1);
        backend.Fill(b, 1);
        return 2.0 * size * size * size / BestSeconds(backend, () => backend.MatMul(a, false, b, true, c));
    }

    private static double MeasureEncode(IBackend backend, LinearQuantizerOptions settings)
    {
        int tiles = 4 * backend.TilesAtOnce;
        float[] normal = new float[tiles * TrellisCodebook.TileSize];
        Philox.Normal(0, RandomPurpose.Test, 0, normal);
        TrellisCodebook codebook = settings.Codebook;
        using Tensor targets = backend.Allocate(DType.F32, tiles, TrellisCodebook.TileSize), states = backend.Allocate(DType.U16, tiles, codebook.Steps);
        backend.Upload<float>(normal, targets);
        return normal.Length / BestSeconds(backend, () => backend.EncodeTiles(codebook, settings.Window, targets, states, settings.Costs));
    }

    private static double BestSeconds(IBackend backend, Action work)
    {
        double best = double.PositiveInfinity;
        for (int attempt = 0; attempt < 3; attempt++)
        {
            long start = Stopwatch.GetTimestamp();
            work();
            backend.Synchronize();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return best;
    }

    private static long BytesOf(string folder) =>
        Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length) : 0;

    private static long Triangle(long n) => n * (n + 1) / 2;
}
