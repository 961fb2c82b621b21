using System.Diagnostics;
using FastKron.Native.Calibration;
using FastKron.Native.Compute;
using FastKron.Native.Evaluation;
using FastKron.Native.Formats;
using FastKron.Native.Reports;

namespace FastKron.Native.Quantization;

/// <summary>The pipeline: calibration text, factors, rounding, checkpoint, check, measurement; every step resumable.</summary>
/// <remarks>
/// The run directory (output path + <c>.run</c>) holds one artefact per step and linear (<see cref="RunDirectory"/>). A run that was stopped anywhere and is
/// started again with the same options gives the same bytes as one that was not. The output folder appears only when everything in it was written, read
/// back and compared; then the run directory goes.
/// </remarks>
public sealed class QuantizationRun
{
    private readonly QuantizationOptions _options;
    private readonly IBackend _backend;
    private readonly IProgress<QuantizationProgress>? _progress;
    private readonly List<StageReport> _stages = [];

    private QuantizationRun(QuantizationOptions options, IBackend backend, IProgress<QuantizationProgress>? progress) => (_options, _backend, _progress) = (options, backend, progress);

    /// <summary>Runs or resumes a job.</summary>
    /// <param name="options">What to do.</param>
    /// <param name="backend">Where to do it.</param>
    /// <param name="digest">Reads a folder back and gives its <see cref="ModelDigest"/>; the command line does this in a fresh process.</param>
    /// <param name="evaluation">What to measure afterwards; null for nothing.</param>
    /// <param name="progress">Where the run stands.</param>
    /// <param name="cancellationToken">Checked at least once per second of work; a cancelled run can be resumed.</param>
    /// <returns>The report, which also lies in the output folder as report.json and report.html.</returns>
    /// <exception cref="InvalidDataException">A bad model, text or run directory, or a result that did not read back as written: path, found, expected, cure.</exception>
    /// <exception cref="NotSupportedException">Something that the engine has not, with what it has.</exception>
    /// <exception cref="IOException">The disk is full or failed; the run can be resumed.</exception>
    public static Task<QuantizationReport> QuantizeAsync(
        QuantizationOptions options, IBackend backend, Func<string, CancellationToken, Task<string>> digest, EvaluationOptions? evaluation = null,
        IProgress<QuantizationProgress>? progress = null, CancellationToken cancellationToken = default)
        => new QuantizationRun(options, backend, progress).ExecuteAsync(digest, evaluation, cancellationToken);

    private async Task<QuantizationReport> ExecuteAsync(Func<string, CancellationToken, Task<string>> digest, EvaluationOptions? evaluation, CancellationToken cancellationToken)
    {
        _options.Check();
        QuantizationPlan.RequireAbsentOrBegun(_options.Output);
        using ModelFolder folder = ModelFolder.Open(_options.Model);
        if (evaluation is not null)
            ModelEvaluation.CheckInputs(evaluation, _backend, folder.Config);
        LinearSelection selection = LinearSelection.Choose(folder.Config, _options.Skip);
        if (_options.FactorsFrom is { } factorFolder)
            FactorStage.Require(factorFolder, selection);
        if (_options is { Propagate: null, PropagatedShare: 0, FactorsFrom: { } made })
        {
            _options.Warn?.Invoke(
                $"{made}: found no {CalibrationStage.IdsFile}, the tokens behind the factors, so every matrix is rounded on its own; fastkron factors leaves it there, and --propagate 0 asks for no more");
        }
        SortedDictionary<string, string> job = JobFingerprint.Compute(_options, _backend);
        using RunDirectory run = RunDirectory.Open(_options.Output + ".run", job);
        int resumed = run.FinishedCount;

        var factors = new FactorStage(_options, folder, selection, run, _progress);
        var allocation = new AllocationStage(_options, folder, selection, factors, run, _progress);
        var rounding = new RoundingStage(_options, folder, selection, allocation.BitsOf, factors.Load, () => factors.Tokens, run, _progress);
        var output = new OutputStage(_options, folder, selection, allocation, rounding, run, _backend);
        if (run.IsPublished(_options.Output))
        {
            run.Delete();
            return ReportFiles.Read(_options.Output);
        }
        QuantizationPlan.RequireAbsent(_options.Output);
        Timed("factors", () => factors.Run(_backend, cancellationToken));
        _stages[^1] = _stages[^1] with { Seconds = _stages[^1].Seconds - factors.CalibrationSeconds, Parts = factors.Collection.Parts };
        _stages.Insert(0, new StageReport("calibration", factors.CalibrationSeconds));
        if (_options.HasMixedBits)
            Timed("allocation", () => allocation.Run(_backend, cancellationToken));
        Timed("rounding", () => rounding.Run(_backend, cancellationToken));
        _stages[^1] = _stages[^1] with { Parts = [.. rounding.PhaseSeconds.Select(p => new StageReport(p.Key.ToString().ToLowerInvariant(), p.Value))] };
        Timed("writing", () => output.Write(job, cancellationToken));
        await CheckAsync(output, digest, cancellationToken).ConfigureAwait(false);
        EvaluationReport? measured = null;
        if (evaluation is not null)
            Timed("evaluation", () => measured = Measure(evaluation with { Model = output.StagedPath }, cancellationToken));

        QuantizationReport report = Describe(folder, selection, job, factors, rounding, output, resumed) with { Evaluation = measured };
        output.Publish(report);
        run.Delete();
        return report;
    }

    private async Task CheckAsync(OutputStage output, Func<string, CancellationToken, Task<string>> digest, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        string expected = output.ExpectedDigest(cancellationToken), found = await digest(output.StagedPath, cancellationToken).ConfigureAwait(false);
        if (found != expected)
            throw new InvalidDataException($"{output.StagedPath}: read back with digest {found}, expected {expected}; nothing was published. Check the disk and run the same command again");
        _stages.Add(new StageReport("checking", Stopwatch.GetElapsedTime(start).TotalSeconds));
    }

    private EvaluationReport Measure(EvaluationOptions evaluation, CancellationToken cancellationToken)
        => ModelEvaluation.Run(evaluation, _backend, new EvaluationRelay(_progress), cancellationToken);

    private QuantizationReport Describe(
        ModelFolder folder, LinearSelection selection, SortedDictionary<string, string> job, FactorStage factors, RoundingStage rounding, OutputStage output, int resumed)
    {
        using ModelFolder staged = ModelFolder.Open(output.StagedPath);
        CalibrationSet? calibration = factors.Calibration;
        var linears = new List<LinearReport>(selection.Quantized.Count);
        foreach (LinearShape linear in selection.Quantized)
        {
            RoundedLinear rounded = rounding.Read(linear);
            linears.Add(new LinearReport(
                linear.Name, linear.Layer, linear.Kind.ShortName(), linear.Rows, linear.Columns, rounded.Weights.Codebook.Bits, OutputStage.StoredBits(staged, linear), rounded.Statistics, factors.EvidenceOf(linear)));
        }
        long weights = selection.Quantized.Sum(l => l.Weights);
        return new QuantizationReport
        {
            Engine = Engine.Version,
            Backend = _backend.Name,
            Model = Path.GetFullPath(_options.Model),
            Output = Path.GetFullPath(_options.Output),
            Job = job,
            Calibration = calibration is null ? null : new CalibrationReport(calibration.Source, calibration.Tokens, calibration.Documents, calibration.Hash),
            Linears = linears,
            Skipped = [.. selection.Skipped.Select(l => l.Name)],
            Size = new SizeReport(
                weights, linears.Sum(l => l.CodeBits * l.Rows * l.Columns) / weights, linears.Sum(l => l.StoredBits * l.Rows * l.Columns) / weights,
                OutputStage.WeightBytes(folder.Path), OutputStage.WeightBytes(output.StagedPath), folder.Parameters),
            ResumedSteps = resumed,
            Stages = [.. _stages],
        };
    }

    private void Timed(string stage, Action work)
    {
        long start = Stopwatch.GetTimestamp();
        work();
        _stages.Add(new StageReport(stage, Stopwatch.GetElapsedTime(start).TotalSeconds));
    }
}
