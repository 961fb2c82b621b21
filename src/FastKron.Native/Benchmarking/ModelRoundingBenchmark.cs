using System.Diagnostics;
using System.Text.Json.Nodes;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Incoherence;
using FastKron.Native.Quantization;
using FastKron.Native.Rounding;

namespace FastKron.Native.Benchmarking;

/// <summary>Times the rounding of a whole model with given factors and the writing of its checkpoint: what a quantize run does once it has factors.</summary>
/// <remarks>
/// Every linear of a size gets the same synthetic factor, in host memory: a spectrum that decays as 1/k, rotated, and outlier channels. Times do not
/// depend on its values.
/// </remarks>
/// <param name="Model">Folder.</param>
/// <param name="WorkFolder">Made and deleted again.</param>
public sealed record ModelRoundingBenchmark(string Model, string WorkFolder)
{
    /// <summary>Name of the suite.</summary>
    public const string Suite = "round-8b";

    // Of LLaMA-3-8B's 6.98 G weights on one H100: hessians-and-rounding.md section 7.
    private const double FloorSecondsPerWeight = 45 / 6.98e9;

    // One channel of so many is an outlier, by so much.
    private const int OutlierEvery = 128;
    private const double OutlierScale = 8;

    /// <summary>Bits per weight: 2, 3 or 4.</summary>
    public int Bits { get; init; } = 2;

    private QuantizationOptions Options => new() { Model = Model, Output = WorkFolder, Bits = Bits, Propagate = 0 };

    private LinearQuantizerOptions Settings => Options.LinearSettings(Bits);

    /// <summary>Blocks of the model that is meant, where the folder has only some of them; null for the folder's own.</summary>
    public int? Layers { get; init; }

    /// <summary>Rounds and writes; the result is dropped.</summary>
    /// <returns>
    /// Seconds of the device by phase, of the rounding and the writing by the clock on the wall, and <c>total</c>; rates; how full the encoder's waves were.
    /// Times of a model with some of its blocks are followed by the whole model's, computed from them and named so.
    /// </returns>
    public IEnumerable<BenchmarkRecord> Run(IBackend backend, IProgress<QuantizationProgress>? progress, CancellationToken cancellationToken)
    {
        using ModelFolder folder = ModelFolder.Open(Model);
        LinearSelection selection = LinearSelection.Choose(folder.Config, []);
        var factors = new Dictionary<int, Tensor>();
        try
        {
            foreach (int size in selection.Quantized.SelectMany(l => new[] { l.Rows, l.Columns }).Distinct())
                factors.Add(size, Factor(backend, size));
            double fill = Fill(backend.TilesAtOnce, LinearRounding.Batches(new LinearQuantizer(backend, Settings), selection.Quantized));

            using RunDirectory run = RunDirectory.Open(WorkFolder, new Dictionary<string, string> { ["benchmark"] = Suite });
            var rounding = new RoundingStage(Options, folder, selection, _ => Bits, FactorsOf, () => null, run, progress);
            long start = Stopwatch.GetTimestamp();
            rounding.Run(backend, cancellationToken);
            double seconds = Seconds();
            using QuantizedCheckpointWriter writer = QuantizedCheckpointWriter.Create(folder, run.ArtefactPath("output"), Settings.Codebook, skip: []);
            foreach (QuantizedWeights weights in rounding.Results)
                writer.Write(weights);
            double writing = Seconds();
            writer.Complete(new JsonObject(), cancellationToken);
            double once = Seconds();
            run.Delete();
            return Records(backend, selection, rounding.PhaseSeconds, seconds, writing, once, fill);

            double Seconds()
            {
                double elapsed = Stopwatch.GetElapsedTime(start).TotalSeconds;
                start = Stopwatch.GetTimestamp();
                return elapsed;
            }
        }
        finally
        {
            foreach (Tensor factor in factors.Values)
                factor.Dispose();
        }

        // Slices own nothing: the stage may dispose them.
        KroneckerFactors FactorsOf(LinearShape linear) => new(
            linear.Name, factors[linear.Rows].SliceRows(0, linear.Rows), factors[linear.Columns].SliceRows(0, linear.Columns), new FactorEvidence { Source = "synthetic" });
    }

    /// <summary>Tiles that are encoded over tiles that could have been in the same time, if every round of the encoder took as long.</summary>
    internal static double Fill(int tilesAtOnce, IEnumerable<IReadOnlyList<LinearShape>> batches)
    {
        long tiles = 0, places = 0;
        foreach (IReadOnlyList<LinearShape> batch in batches)
        {
            int rows = batch[0].Rows / TileDiagonal.TileRows, columns = batch[0].Columns / TileDiagonal.TileRows;
            for (int diagonal = 0; diagonal < rows + columns - 1; diagonal++)
            {
                int wave = batch.Count * Math.Min(Math.Min(rows, columns), Math.Min(diagonal + 1, rows + columns - 1 - diagonal));
                tiles += wave;
                places += (wave + tilesAtOnce - 1) / tilesAtOnce * tilesAtOnce;
            }
        }
        return (double)tiles / places;
    }

    private List<BenchmarkRecord> Records(
        IBackend backend, LinearSelection selection, IReadOnlyDictionary<RoundingPhase, double> phases, double rounding, double writing, double once, double fill)
    {
        double weights = selection.Quantized.Sum(l => l.Weights), total = rounding + writing + once;
        List<BenchmarkRecord> records = [.. phases.Select(p => Record("device/" + p.Key.ToString().ToLowerInvariant(), p.Value, "s"))];
        double waves = phases[RoundingPhase.Encoding] + phases[RoundingPhase.Feedback] + phases[RoundingPhase.Packing];
        records.AddRange(
        [
            Record("rounding", rounding, "s"), Record("writing", writing + once, "s"), Record("total", total, "s", FloorSecondsPerWeight * weights),
            Record("encoding/rate", weights / phases[RoundingPhase.Encoding] * 1e-6, "Mweights/s"), Record("waves/rate", weights / waves * 1e-6, "Mweights/s"),
            Record("waves/fill", 100 * fill, "%"), Record("device/busy", 100 * (1 - phases[RoundingPhase.Other] / rounding), "%"),
        ]);
        int found = selection.Quantized.Select(l => l.Layer).Distinct().Count();
        if (Layers is { } layers && layers != found)
        {
            // Blocks cost the same; what is not quantized is copied once.
            double share = (double)layers / found;
            string label = $"@scaled-from-{found}-of-{layers}-blocks";
            records.Add(Record("rounding" + label, rounding * share, "s"));
            records.Add(Record("total" + label, (rounding + writing) * share + once, "s", FloorSecondsPerWeight * weights * share));
        }
        return records;

        BenchmarkRecord Record(string name, double value, string unit, double? floor = null) => new()
        {
            Suite = Suite,
            Case = name,
            Value = BenchmarkRecord.Rounded(value),
            Unit = unit,
            Floor = floor is { } f && !backend.IsHost ? BenchmarkRecord.Rounded(f) : null,
            Machine = backend.Name,
            Command = $"fastkron bench {Suite} {Path.GetFileName(Path.GetFullPath(Model))}{(Layers is { } meant ? $" --scale-to {meant}" : "")}",
        };
    }

    private Tensor Factor(IBackend backend, int size)
    {
        float[] spectrum = [.. Enumerable.Range(1, size).Select(k => 1f / k)];
        using Tensor h = backend.Allocate(DType.F32, size, size), values = backend.Allocate(DType.F32, size, 1), ones = backend.Allocate(DType.F32, size, 1);
        backend.Fill(h, 0);
        backend.Upload<float>(spectrum, values);
        backend.Convert(values, h.Diagonal());
        using (RandomHadamard rotation = RandomHadamard.Draw(backend, size, Settings.Seed, RandomPurpose.Test, matrix: (uint)size))
            rotation.RotateBothSides(h);
        for (int channel = 0; channel < size; channel += OutlierEvery)
        {
            backend.Scale(OutlierScale, h.SliceRows(channel, 1));
            backend.Scale(OutlierScale, h.SliceColumns(channel, 1));
        }
        backend.Fill(ones, 1);
        backend.Scale(size / backend.Dot(h.Diagonal(), ones), h);
        Tensor result = Tensor.AllocateHost(DType.F32, size, size);
        backend.Download<float>(h, result.AsSpan<float>());
        return result;
    }
}
