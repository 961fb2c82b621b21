using System.Diagnostics;
using FastKron.Native.Compute;
using FastKron.Native.Formats;

namespace FastKron.Native.Quantization;

/// <summary>Rounds every selected linear with its factors; one artefact per linear.</summary>
internal sealed class RoundingStage(
    ModelFolder folder, LinearSelection selection, LinearQuantizerOptions settings, FactorStage factors, RunDirectory run, IProgress<QuantizationProgress>? progress)
{
    /// <summary>Does what is not done yet.</summary>
    public void Run(IBackend backend, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp(), total = selection.Quantized.Sum(l => l.Weights);
        List<LinearShape> waiting = [.. selection.Quantized.Where(l => !run.IsFinished(Artefact(l)))];
        long done = total - waiting.Sum(l => l.Weights);
        new LinearRounding(backend, folder, settings, factors.Load).Run(waiting, Save, cancellationToken);

        void Save(LinearShape linear, RoundedLinear result)
        {
            RoundedLinearFile.Write(run.ArtefactPath(Artefact(linear)), result);
            run.Finish(Artefact(linear));
            done += linear.Weights;
            progress?.Report(new QuantizationProgress(
                "rounding", (double)done / total, linear.Layer, folder.Config.Layers, linear.Name, result.Statistics.ProxyError, Stopwatch.GetElapsedTime(start)));
        }
    }

    /// <summary>The rounded linears in model order, read one at a time.</summary>
    public IEnumerable<QuantizedWeights> Results => selection.Quantized.Select(linear => Read(linear).Weights);

    /// <summary>One rounded linear.</summary>
    public RoundedLinear Read(LinearShape linear) => RoundedLinearFile.Read(run.ArtefactPath(Artefact(linear)), linear, settings.Codebook);

    private static string Artefact(LinearShape linear) => $"linears/{linear.Name}.safetensors";
}
