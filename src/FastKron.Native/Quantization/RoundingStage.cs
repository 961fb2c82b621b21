using System.Diagnostics;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;

namespace FastKron.Native.Quantization;

/// <summary>Rounds every selected linear with its factors; one artefact per linear.</summary>
internal sealed class RoundingStage(
    ModelFolder folder, LinearSelection selection, LinearQuantizerOptions settings, FactorStage factors, RunDirectory run, IProgress<QuantizationProgress>? progress)
{
    /// <summary>Does what is not done yet.</summary>
    public void Run(IBackend backend, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        var quantizer = new LinearQuantizer(backend, settings);
        long total = selection.Quantized.Sum(l => l.Weights), done = 0;
        foreach (LinearShape linear in selection.Quantized)
        {
            cancellationToken.ThrowIfCancellationRequested();
            double? error = null;
            if (!run.IsFinished(Artefact(linear)))
            {
                using Tensor weights = folder.Load(backend, linear.Name + ".weight", linear.Rows, linear.Columns, DType.F32);
                using KroneckerFactors? fitted = factors.Load(linear);
                RoundedLinear rounded = quantizer.Quantize(linear.Name, linear.Index, weights, fitted, cancellationToken);
                RoundedLinearFile.Write(run.ArtefactPath(Artefact(linear)), rounded);
                run.Finish(Artefact(linear));
                error = rounded.Statistics.ProxyError;
            }
            done += linear.Weights;
            progress?.Report(new QuantizationProgress("rounding", (double)done / total, linear.Layer, folder.Config.Layers, linear.Name, error, Stopwatch.GetElapsedTime(start)));
        }
    }

    /// <summary>The rounded linears in model order, read one at a time.</summary>
    public IEnumerable<QuantizedWeights> Results => selection.Quantized.Select(linear => Read(linear).Weights);

    /// <summary>One rounded linear.</summary>
    public RoundedLinear Read(LinearShape linear) => RoundedLinearFile.Read(run.ArtefactPath(Artefact(linear)), linear, settings.Codebook);

    private static string Artefact(LinearShape linear) => $"linears/{linear.Name}.safetensors";
}
