using System.Text.Json.Nodes;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Reports;

namespace FastKron.Native.Quantization;

/// <summary>Writes the finished folder inside the run directory, and publishes it with one rename when it was checked.</summary>
internal sealed class OutputStage(
    QuantizationOptions options, ModelFolder folder, LinearSelection selection, AllocationStage allocation, RoundingStage rounding, RunDirectory run, IBackend backend)
{
    /// <summary>Where the folder is until it is published.</summary>
    public string StagedPath { get; } = run.ArtefactPath("output");

    /// <summary>Writes the folder anew; what an earlier process left of it is deleted.</summary>
    /// <param name="job">How it was made, for the manifest.</param>
    /// <param name="cancellationToken">Checked for every linear.</param>
    public void Write(IReadOnlyDictionary<string, string> job, CancellationToken cancellationToken)
    {
        if (Directory.Exists(StagedPath))
            Directory.Delete(StagedPath, recursive: true);
        var origin = new JsonObject([.. job.Select(pair => KeyValuePair.Create<string, JsonNode?>(pair.Key, pair.Value))]);
        if (options.Format == CheckpointFormat.Qtip)
            WriteQuantized(origin, cancellationToken);
        else
            WriteDense(origin, cancellationToken);
    }

    /// <summary>The digest that the folder must have: computed from the artefacts and the original, not from what was written.</summary>
    public string ExpectedDigest(CancellationToken cancellationToken)
    {
        using var digest = new ModelDigest(backend, options.Format);
        HashSet<string> skipped = [.. selection.Skipped.Select(l => l.Name)];
        foreach (LinearShape linear in selection.Quantized.Concat(selection.Skipped).OrderBy(l => l.Index))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (skipped.Contains(linear.Name))
                digest.AddDense(folder, linear);
            else
                digest.Add(rounding.Read(linear).Weights);
        }
        return digest.Finish();
    }

    /// <summary>Writes the reports and gives the folder its final place.</summary>
    public void Publish(QuantizationReport report)
    {
        ReportFiles.Write(StagedPath, report);
        run.Publish(StagedPath, options.Output);
    }

    /// <summary>Stored bits per weight of a linear in the staged folder: everything under its module path.</summary>
    public static double StoredBits(ModelFolder staged, LinearShape linear)
        => staged.TensorNames.Where(name => name.StartsWith(linear.Name + ".", StringComparison.Ordinal)).Sum(name => 8.0 * staged.Describe(name).Bytes) / linear.Weights;

    /// <summary>Bytes of a folder's weight files.</summary>
    public static long WeightBytes(string path) => Directory.EnumerateFiles(path, "*.safetensors").Sum(file => new FileInfo(file).Length);

    private void WriteQuantized(JsonObject origin, CancellationToken cancellationToken)
    {
        string[] skip = [.. selection.Skipped.Select(l => l.ShortName)];
        int common = selection.Quantized.CountBy(allocation.BitsOf).MaxBy(rate => rate.Value).Key;
        Dictionary<string, TrellisCodebook> others = selection.Quantized.Where(l => allocation.BitsOf(l) != common)
            .ToDictionary(l => l.ShortName, l => options.LinearSettings(allocation.BitsOf(l)).Codebook, StringComparer.Ordinal);
        using QuantizedCheckpointWriter writer = QuantizedCheckpointWriter.Create(folder, StagedPath, options.LinearSettings(common).Codebook, skip, others: others);
        foreach (QuantizedWeights weights in rounding.Results)
        {
            cancellationToken.ThrowIfCancellationRequested();
            writer.Write(weights);
        }
        writer.Complete(origin, cancellationToken);
    }

    private void WriteDense(JsonObject origin, CancellationToken cancellationToken)
    {
        using DenseCheckpointWriter writer = DenseCheckpointWriter.Create(folder, backend, StagedPath, [.. selection.Quantized.Select(l => l.Name)]);
        foreach (QuantizedWeights weights in rounding.Results)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using Tensor dense = backend.Allocate(DType.F32, weights.Rows, weights.Columns);
            weights.Dequantize(backend, dense);
            writer.Write(weights.Name, dense);
        }
        writer.Complete(origin, cancellationToken);
    }
}
