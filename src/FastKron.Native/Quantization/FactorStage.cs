using System.Diagnostics;
using FastKron.Native.Calibration;
using FastKron.Native.Compute;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Reports;

namespace FastKron.Native.Quantization;

/// <summary>Gives every selected linear its factors: from files made earlier, or fitted to the model's gradients; one artefact per linear.</summary>
internal sealed class FactorStage(QuantizationOptions options, ModelFolder folder, LinearSelection selection, RunDirectory run, IProgress<QuantizationProgress>? progress)
{
    private readonly CalibrationStage _calibration = new(options, run, progress);
    private double _savingSeconds;   // of the thread that writes, while factors of other linears are fitted

    /// <summary>Checks that a folder has factors of every selected linear in its shape; reads no values.</summary>
    /// <exception cref="InvalidDataException">There is no such folder, or it lacks one, or they are of another model.</exception>
    public static void Require(string made, LinearSelection selection)
    {
        if (!Directory.Exists(made))
            throw new InvalidDataException($"{made}: no such folder; give one that fastkron factors made for this model, or one of FastKron's or YAQA's");
        foreach (LinearShape linear in selection.Quantized)
            FactorFolder.Require(made, linear.Kind, linear.Layer, linear.Rows, linear.Columns);
    }

    /// <summary>Makes what is not made yet.</summary>
    public void Run(IBackend backend, CancellationToken cancellationToken)
    {
        if (options.Fisher is not { } fisher || options.FactorsFrom is not null)
            return;
        HashSet<string> wanted = [.. selection.Quantized.Where(l => !run.IsFinished(Artefact(l))).Select(l => l.Name)];
        if (wanted.Count == 0)
            return;
        int residentBlocks = FisherPlan.Create(folder.Config, fisher, CalibrationStage.SizeOf(options, folder.Config), backend).ResidentBlocks;
        using DecoderModel model = DecoderModel.Load(folder, backend, residentBlocks);
        long start = Stopwatch.GetTimestamp();
        CalibrationSet calibration = _calibration.Run(model, cancellationToken);
        CalibrationSeconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        start = Stopwatch.GetTimestamp();
        var collector = new FisherCollector(model, fisher with { Seed = options.Seed });
        collector.Collect(calibration.Split(fisher.Gradients), wanted.Contains, Save, new Relay(progress), cancellationToken);
        Collection = new StageReport("factors", Stopwatch.GetElapsedTime(start).TotalSeconds,
        [
            .. collector.StageSeconds.Select(s => new StageReport(s.Key.ToString().ToLowerInvariant(), s.Value)), new StageReport("disk", _savingSeconds),
        ]);
    }

    /// <summary>Time of the collection and its parts; no parts where nothing had to be made.</summary>
    public StageReport Collection { get; private set; } = new("factors", 0);

    /// <summary>The calibration text that was used; null where factors needed none.</summary>
    public CalibrationSet? Calibration => _calibration.Existing;

    /// <summary>The tokens behind the factors, of this run or in the folder that they come from; null where there are none.</summary>
    public CalibrationSet? Tokens => options.FactorsFrom is { } made ? CalibrationStage.TokensOf(made) : Calibration;

    /// <summary>Seconds that <see cref="Run"/> spent on the text.</summary>
    public double CalibrationSeconds { get; private set; }

    /// <summary>The factors of a linear; null where every weight counts the same.</summary>
    /// <exception cref="InvalidDataException">The file is missing, damaged, or of another linear or shape.</exception>
    public KroneckerFactors? Load(LinearShape linear)
    {
        if (options.FactorsFrom is { } made)
            return FactorFolder.Read(made, linear.Kind, linear.Layer, linear.Rows, linear.Columns);
        return options.Fisher is null ? null : FactorFile.Read(run.ArtefactPath(Artefact(linear)), linear.Name, linear.Rows, linear.Columns);
    }

    /// <summary>How the factors of a linear were made; null where every weight counts the same.</summary>
    /// <exception cref="InvalidDataException">As <see cref="Load"/>.</exception>
    public FactorEvidence? EvidenceOf(LinearShape linear)
    {
        if (options.FactorsFrom is { } made)
            return FactorFolder.ReadEvidence(made, linear.Kind, linear.Layer, linear.Rows, linear.Columns);
        return options.Fisher is null ? null : FactorFile.ReadEvidence(run.ArtefactPath(Artefact(linear)), linear.Name);
    }

    private void Save(KroneckerFactors factors)
    {
        long start = Stopwatch.GetTimestamp();
        string artefact = Artefact(factors.Name);
        FactorFile.Write(run.ArtefactPath(artefact), factors);
        run.Finish(artefact);
        _savingSeconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static string Artefact(LinearShape linear) => Artefact(linear.Name);

    private static string Artefact(string module) => $"factors/{FactorFile.NameOf(module)}";

    private sealed class Relay(IProgress<QuantizationProgress>? target) : IProgress<FisherProgress>
    {
        public void Report(FisherProgress value) => target?.Report(new QuantizationProgress("factors", value.Fraction, value.Layer, value.Layers, value.Module, null, value.Elapsed));
    }
}
