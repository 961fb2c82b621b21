using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using FastKron.Native.Calibration;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Models;

namespace FastKron.Native.Benchmarking;

/// <summary>Times a whole collection: every linear's factors are fitted and hashed; those of every fourth block are written, and all are dropped.</summary>
/// <param name="Model">Folder.</param>
/// <param name="Calibration">File of ids.</param>
/// <param name="WriteTo">Existing folder for factor files, which are deleted again.</param>
public sealed record CollectionBenchmark(string Model, string Calibration, string WriteTo)
{
    private const int WriteEvery = 4;

    /// <summary>Name of the suite.</summary>
    public const string Suite = "collect-8b";

    /// <summary>What is collected.</summary>
    public FisherOptions Options { get; init; } = new();

    /// <summary>Blocks of the model that is meant, where the folder has only some of them; null for the folder's own.</summary>
    public int? Layers { get; init; }

    /// <summary>Runs the collection.</summary>
    /// <returns>Seconds and TFLOP/s of each stage (of the linears' products alone), <c>total</c>, peaks of memory and their plan. Stages of a model
    /// with some of its blocks are followed by the whole model's, computed from them and named so.</returns>
    public IEnumerable<BenchmarkRecord> Run(IBackend backend, IProgress<FisherProgress>? progress, CancellationToken cancellationToken)
    {
        using ModelFolder folder = ModelFolder.Open(Model);
        CalibrationSet calibration = CalibrationSet.Load(Calibration);
        IReadOnlyList<IReadOnlyList<int[]>> minibatches = calibration.Split(Options.Gradients);
        FisherPlan plan = FisherPlan.Create(folder.Config, Options, MicroBatch.SizeOf(minibatches), backend);

        long start = Stopwatch.GetTimestamp();
        using DecoderModel model = DecoderModel.Load(folder, backend, plan.ResidentBlocks);
        backend.Synchronize();
        double loading = Stopwatch.GetElapsedTime(start).TotalSeconds;

        var sink = new Sink(WriteTo);
        var collector = new FisherCollector(model, Options);
        start = Stopwatch.GetTimestamp();
        collector.Collect(minibatches, _ => true, sink.Accept, progress, cancellationToken);
        double total = Stopwatch.GetElapsedTime(start).TotalSeconds;

        var work = new Work(folder.Config, calibration.Tokens, plan.RecomputedBlocks, Options);
        List<BenchmarkRecord> records = [Record("load", loading, "s")];
        foreach ((CollectionStage stage, double seconds) in collector.StageSeconds)
        {
            string name = stage.ToString().ToLowerInvariant();
            records.Add(Record(name, seconds, "s"));
            if (work.Flops(stage) is var flops and > 0 && seconds > 0)
                records.Add(Record(name + "/rate", flops / seconds * 1e-12, "TFLOP/s"));
        }
        double solving = collector.StageSeconds[CollectionStage.Solve];
        records.AddRange(
        [
            Record("total", total, "s"), Record("total/collection", total - solving, "s"), Record("hash/rate", sink.Bytes / sink.HashSeconds * 1e-9, "GB/s"),
            Record("disk/rate", sink.WrittenBytes / sink.WriteSeconds * 1e-9, "GB/s"), Record("disk", sink.WriteSeconds, "s"),
            Record("device-memory/planned", plan.DeviceBytes * 1e-9, "GB"), Record("host-memory/planned", plan.HostBytes * 1e-9, "GB"),
        ]);
        if (backend is GpuBackend gpu)
            records.AddRange([Record("device-memory", gpu.PeakBytes * 1e-9, "GB"), Record("host-memory", gpu.PeakHostBytes * 1e-9, "GB")]);
        if (Layers is { } layers && layers != folder.Config.Layers)
        {
            // Blocks cost the same; the head, and what is done once around the stages, do not grow with them.
            double share = (double)layers / folder.Config.Layers, blocks = collector.StageSeconds.Where(s => s.Key != CollectionStage.Head).Sum(s => s.Value);
            double once = total - blocks;
            string label = $"@scaled-from-{folder.Config.Layers}-of-{layers}-blocks";
            records.Add(Record("total" + label, blocks * share + once, "s"));
            records.Add(Record("total/collection" + label, (blocks - solving) * share + once, "s"));
        }
        return records;

        BenchmarkRecord Record(string name, double value, string unit) => new()
        {
            Suite = Suite,
            Case = name,
            Value = BenchmarkRecord.Rounded(value),
            Unit = unit,
            Machine = backend.Name,
            Command = $"fastkron bench {Suite} {Path.GetFileName(Path.GetFullPath(Model))}",
        };
    }

    // Operations of the linears' products by stage; elementwise work and attention come on top.
    private sealed record Work(ModelConfig Config, long Tokens, int RecomputedBlocks, FisherOptions Options)
    {
        public double Flops(CollectionStage stage)
        {
            double forward = Tokens * FisherWork.Forward(Config);
            (int Outputs, int Inputs)[] shapes = [.. BlockLinears.All.Select(l => l.Shape(Config))];
            double down = 2.0 * Tokens * Config.IntermediateSize * Config.HiddenSize;
            return stage switch
            {
                CollectionStage.Forward => Config.Layers * forward,
                CollectionStage.Head => Tokens * FisherWork.Head(Config),
                CollectionStage.Recomputation => RecomputedBlocks * forward,
                CollectionStage.Backward => Config.Layers * (2 * forward - down),
                CollectionStage.Stack => Config.Layers * forward,
                CollectionStage.Solve => Config.Layers * shapes.Sum(s => FisherWork.Solver(Options, Options.Gradients, Tokens, s.Outputs, s.Inputs)),
                _ => 0,
            };
        }
    }

    // Hashes the packed triangles of every linear's factors, and writes some.
    private sealed class Sink(string folder)
    {
        public long Bytes { get; private set; }

        public double HashSeconds { get; private set; }

        public long WrittenBytes { get; private set; }

        public double WriteSeconds { get; private set; }

        public void Accept(KroneckerFactors factors)
        {
            long start = Stopwatch.GetTimestamp();
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            foreach (Tensor factor in new[] { factors.HIn, factors.HOut }.OfType<Tensor>())
            {
                for (int row = 0; row < factor.Rows; row++)
                    hash.AppendData(MemoryMarshal.AsBytes(factor.Row<float>(row)[..(row + 1)]));
                Bytes += (long)factor.Rows * (factor.Rows + 1) / 2 * sizeof(float);
            }
            HashSeconds += Stopwatch.GetElapsedTime(start).TotalSeconds;

            if (int.Parse(factors.Name.Split('.')[2], CultureInfo.InvariantCulture) % WriteEvery != 0)
                return;
            start = Stopwatch.GetTimestamp();
            string path = Path.Combine(folder, FactorFile.NameOf(factors.Name));
            FactorFile.Write(path, factors);
            WriteSeconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
            WrittenBytes += new FileInfo(path).Length;
            File.Delete(path);
        }
    }
}
