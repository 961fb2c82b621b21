using System.Diagnostics;
using System.Text.Json;
using FastKron.Native.Compute;
using FastKron.Native.Formats;

namespace FastKron.Native.Quantization;

/// <summary>Bits of every linear of a run: the same for all, or an average shared out by predicted loss; one artefact.</summary>
internal sealed class AllocationStage(
    QuantizationOptions options, ModelFolder folder, LinearSelection selection, FactorStage factors, RunDirectory run, IProgress<QuantizationProgress>? progress)
{
    private const string Artefact = "allocation.json";

    private Dictionary<string, int>? _bits;

    /// <summary>Shares out the bits, unless that was done before or every linear has the same.</summary>
    public void Run(IBackend backend, CancellationToken cancellationToken)
    {
        if (!options.HasMixedBits)
            return;
        if (run.IsFinished(Artefact))
        {
            _bits = JsonSerializer.Deserialize(File.ReadAllBytes(run.ArtefactPath(Artefact)), RunJson.Default.DictionaryStringInt32)!;
            return;
        }
        long start = Stopwatch.GetTimestamp();
        _bits = new LinearRounding(backend, folder, options, BitsOf, factors.Load).Allocate(
            selection.Quantized,
            done => progress?.Report(new QuantizationProgress("allocation", done, -1, folder.Config.Layers, null, null, Stopwatch.GetElapsedTime(start))), cancellationToken);
        AtomicFile.WriteAllBytes(run.ArtefactPath(Artefact), JsonSerializer.SerializeToUtf8Bytes(_bits, RunJson.Default.DictionaryStringInt32));
        run.Finish(Artefact);
    }

    /// <summary>K of a linear.</summary>
    public int BitsOf(LinearShape linear) => _bits is null ? (int)options.Bits : _bits[linear.Name];
}
