using System.Diagnostics;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;

namespace FastKron.Native.Quantization;

/// <summary>Rounds every selected linear with its factors, those of one shape together; one artefact per linear.</summary>
internal sealed class RoundingStage(
    ModelFolder folder, LinearSelection selection, LinearQuantizerOptions settings, FactorStage factors, RunDirectory run, IProgress<QuantizationProgress>? progress)
{
    /// <summary>Does what is not done yet.</summary>
    /// <remarks>While a device rounds one batch, the artefacts of the batch before it are written and the factors of the next are read.</remarks>
    public void Run(IBackend backend, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp(), total = selection.Quantized.Sum(l => l.Weights);
        var quantizer = new LinearQuantizer(backend, settings);
        List<LinearShape> waiting = [.. selection.Quantized.Where(l => !run.IsFinished(Artefact(l)))];
        long done = total - waiting.Sum(l => l.Weights);
        LinearBatch? rounding = null;
        IReadOnlyList<LinearShape> members = [];
        try
        {
            foreach (IReadOnlyList<LinearShape> next in Batches(quantizer, waiting).Append([]))
            {
                cancellationToken.ThrowIfCancellationRequested();
                KroneckerFactors?[] fitted = [.. next.Select(factors.Load)];
                IReadOnlyList<RoundedLinear> results = rounding?.Collect() ?? [];
                rounding?.Dispose();
                rounding = null;
                if (next.Count > 0)
                {
                    rounding = Prepare(backend, quantizer, next, fitted, cancellationToken);
                    rounding.Round(cancellationToken);
                }
                foreach ((LinearShape linear, RoundedLinear result) in members.Zip(results))
                {
                    RoundedLinearFile.Write(run.ArtefactPath(Artefact(linear)), result);
                    run.Finish(Artefact(linear));
                    done += linear.Weights;
                    progress?.Report(new QuantizationProgress(
                        "rounding", (double)done / total, linear.Layer, folder.Config.Layers, linear.Name, result.Statistics.ProxyError, Stopwatch.GetElapsedTime(start)));
                }
                members = next;
            }
        }
        finally
        {
            rounding?.Dispose();
        }
    }

    /// <summary>The rounded linears in model order, read one at a time.</summary>
    public IEnumerable<QuantizedWeights> Results => selection.Quantized.Select(linear => Read(linear).Weights);

    /// <summary>One rounded linear.</summary>
    public RoundedLinear Read(LinearShape linear) => RoundedLinearFile.Read(run.ArtefactPath(Artefact(linear)), linear, settings.Codebook);

    private LinearBatch Prepare(
        IBackend backend, LinearQuantizer quantizer, IReadOnlyList<LinearShape> linears, KroneckerFactors?[] fitted, CancellationToken cancellationToken)
    {
        var inputs = new List<LinearInput>(linears.Count);
        try
        {
            foreach ((LinearShape linear, KroneckerFactors? factor) in linears.Zip(fitted))
                inputs.Add(new LinearInput(linear.Name, linear.Index, folder.Load(backend, linear.Name + ".weight", linear.Rows, linear.Columns, DType.F32), factor));
            return quantizer.Prepare(inputs, cancellationToken);
        }
        finally
        {
            foreach (LinearInput input in inputs)
                input.Weights.Dispose();
            foreach (KroneckerFactors? factor in fitted)
                factor?.Dispose();
        }
    }

    // Neighbours in the model stay neighbours, so that what is finished early is the model's beginning.
    private static IEnumerable<IReadOnlyList<LinearShape>> Batches(LinearQuantizer quantizer, IEnumerable<LinearShape> linears) =>
        linears.GroupBy(l => (l.Rows, l.Columns)).SelectMany(shape => shape.Chunk(quantizer.BatchSize(shape.Key.Rows, shape.Key.Columns))).OrderBy(batch => batch[0].Index);

    private static string Artefact(LinearShape linear) => $"linears/{linear.Name}.safetensors";
}
