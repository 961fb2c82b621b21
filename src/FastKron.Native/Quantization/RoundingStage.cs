using System.Diagnostics;
using FastKron.Native.Calibration;
using FastKron.Native.Compute;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Rounding;

namespace FastKron.Native.Quantization;

/// <summary>Rounds every selected linear with its factors; one artefact per linear.</summary>
/// <param name="options">How they are rounded.</param>
/// <param name="folder">The model.</param>
/// <param name="selection">Its linears.</param>
/// <param name="bitsOf">As in <see cref="LinearRounding"/>.</param>
/// <param name="factors">Likewise.</param>
/// <param name="tokens">Likewise.</param>
/// <param name="run">Where the artefacts go.</param>
/// <param name="progress">Where the run stands.</param>
internal sealed class RoundingStage(
    QuantizationOptions options, ModelFolder folder, LinearSelection selection, Func<LinearShape, int> bitsOf, Func<LinearShape, KroneckerFactors?> factors,
    Func<CalibrationSet?> tokens, RunDirectory run, IProgress<QuantizationProgress>? progress)
{
    /// <summary>Seconds of the device by phase; none before <see cref="Run"/>.</summary>
    public IReadOnlyDictionary<RoundingPhase, double> PhaseSeconds { get; private set; } = new Dictionary<RoundingPhase, double>();

    /// <summary>Does what is not done yet.</summary>
    public void Run(IBackend backend, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp(), total = selection.Quantized.Sum(l => l.Weights);
        List<LinearShape> waiting = [.. selection.Quantized.Where(l => !run.IsFinished(Artefact(l)))];
        long done = total - waiting.Sum(l => l.Weights);
        PhaseSeconds = new LinearRounding(backend, folder, options, bitsOf, factors).Run(
            selection.Quantized, waiting, linear => Read(linear).Weights, tokens, Save, cancellationToken);

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
    public RoundedLinear Read(LinearShape linear) => RoundedLinearFile.Read(run.ArtefactPath(Artefact(linear)), linear, options.LinearSettings(bitsOf(linear)).Codebook);

    private static string Artefact(LinearShape linear) => $"linears/{linear.Name}.safetensors";
}
