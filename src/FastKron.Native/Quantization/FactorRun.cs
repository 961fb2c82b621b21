using FastKron.Native.Compute;
using FastKron.Native.Formats;
using FastKron.Native.Reports;

namespace FastKron.Native.Quantization;

/// <summary>The first half of the pipeline alone: calibration text and factors, resumable as a whole run is.</summary>
public static class FactorRun
{
    /// <summary>Makes the factors of every selected linear; the output folder appears when all are there.</summary>
    /// <param name="options">Bits and format are not used.</param>
    /// <param name="backend">Where to do it.</param>
    /// <param name="progress">Where the run stands.</param>
    /// <param name="cancellationToken">A cancelled run can be resumed.</param>
    /// <returns>Seconds of calibration text and factors; none where an earlier process had finished them.</returns>
    /// <exception cref="ArgumentException">Options that make no factors.</exception>
    /// <exception cref="InvalidDataException">An output that exists, a bad model, text or run directory: path, found, expected, cure.</exception>
    public static IReadOnlyList<StageReport> Execute(QuantizationOptions options, IBackend backend, IProgress<QuantizationProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        if (options.Fisher is null || options.FactorsFrom is not null)
            throw new ArgumentException("--factors none makes no factors; give another source");
        options.Check();
        QuantizationPlan.RequireAbsentOrBegun(options.Output);
        using ModelFolder folder = ModelFolder.Open(options.Model);
        LinearSelection selection = LinearSelection.Choose(folder.Config, options.Skip);
        using RunDirectory run = RunDirectory.Open(options.Output + ".run", JobFingerprint.Compute(options, backend));
        if (run.IsPublished(options.Output))
        {
            run.Delete();
            return [];
        }
        QuantizationPlan.RequireAbsent(options.Output);
        var stage = new FactorStage(options, folder, selection, run, progress);
        stage.Run(backend, cancellationToken);
        File.Copy(run.ArtefactPath(CalibrationStage.IdsFile), Path.Combine(run.ArtefactPath("factors"), CalibrationStage.IdsFile), overwrite: true);
        run.Publish(run.ArtefactPath("factors"), options.Output);
        run.Delete();
        return [new StageReport("calibration", stage.CalibrationSeconds), stage.Collection];
    }
}
