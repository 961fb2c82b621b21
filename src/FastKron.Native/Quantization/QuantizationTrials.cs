using System.Collections.Concurrent;
using System.Diagnostics;
using FastKron.Native.Calibration;
using FastKron.Native.Compute;
using FastKron.Native.Evaluation;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Models;

namespace FastKron.Native.Quantization;

/// <summary>Quantizes one model in memory, by any number of settings, and measures each result.</summary>
/// <remarks>
/// Rounding and measurement are those of <see cref="QuantizationRun"/>, with the same numbers. Nothing is written, so that nothing is read back and compared;
/// the original is measured once for all trials.
/// </remarks>
public sealed class QuantizationTrials : IDisposable
{
    private readonly IBackend _backend;
    private readonly ModelFolder _folder;
    private readonly ModelEvaluation _evaluation;
    private readonly IProgress<QuantizationProgress>? _progress;

    private QuantizationTrials(IBackend backend, ModelFolder folder, ModelEvaluation evaluation, IProgress<QuantizationProgress>? progress)
        => (_backend, _folder, _evaluation, _progress) = (backend, folder, evaluation, progress);

    /// <summary>Opens a model and measures it.</summary>
    /// <param name="evaluation">What to measure; <see cref="EvaluationOptions.Original"/> is the model.</param>
    /// <param name="backend">Where.</param>
    /// <param name="progress">Where this and every trial stands.</param>
    /// <param name="cancellationToken">Checked before every batch.</param>
    /// <exception cref="ArgumentException">An option is out of range, or there is no original.</exception>
    /// <exception cref="InvalidDataException">A bad model, text or task file.</exception>
    public static QuantizationTrials Open(
        EvaluationOptions evaluation, IBackend backend, IProgress<QuantizationProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ModelFolder folder = ModelFolder.Open(evaluation.Original ?? throw new ArgumentException("trials need an original to be measured against", nameof(evaluation)));
        try
        {
            return new QuantizationTrials(backend, folder, ModelEvaluation.Prepare(evaluation, backend, folder.Config, new EvaluationRelay(progress), cancellationToken), progress);
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <summary>What the model is.</summary>
    public MeasuredModel Original => _evaluation.Original!;

    /// <summary>Measures the model as it is.</summary>
    /// <param name="cancellationToken">Checked before every batch.</param>
    public QuantizationTrial MeasureOriginal(CancellationToken cancellationToken = default)
    {
        using DecoderModel model = DecoderModel.Load(_folder, _backend);
        return Measure(model, Original, [], [], 0, withTasks: true, cancellationToken);
    }

    /// <summary>Quantizes and measures.</summary>
    /// <param name="options">Bits, seed, what is skipped, where factors lie; model, output, format and what makes factors are not used.</param>
    /// <param name="withTasks">Whether the result is measured on the tasks too.</param>
    /// <param name="cancellationToken">Checked many times a second.</param>
    /// <exception cref="NotSupportedException">Shapes that cannot be quantized.</exception>
    /// <exception cref="InvalidDataException">Bad factors.</exception>
    /// <exception cref="ArgumentException">Bits that no code has, or that cannot be shared out.</exception>
    public QuantizationTrial Quantize(QuantizationOptions options, bool withTasks = true, CancellationToken cancellationToken = default)
    {
        long start = Stopwatch.GetTimestamp();
        if (options.FactorsFrom is null)
            options = options with { Fisher = null };
        options.Check();
        LinearSelection selection = LinearSelection.Choose(_folder.Config, options.Skip);
        long done = 0, total = selection.Quantized.Sum(l => l.Weights);
        var evidence = new ConcurrentDictionary<string, FactorEvidence>();
        var statistics = new List<RoundingStatistics>();
        var weights = new Dictionary<string, QuantizedWeights>(StringComparer.Ordinal);
        Dictionary<string, int>? bits = null;
        var rounding = new LinearRounding(_backend, _folder, options, linear => bits?[linear.Name] ?? (int)options.Bits, ReadFactors);
        bits = options.HasMixedBits ? rounding.Allocate(selection.Quantized, progress: null, cancellationToken) : null;
        evidence.Clear();
        rounding.Run(selection.Quantized, selection.Quantized, linear => weights[linear.Name], ReadTokens, Accept, cancellationToken);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        using DecoderModel model = DecoderModel.Load(_folder, _backend, weights);
        return Measure(model, MeasuredModel.Describe(_folder, Original, weights.Values), [.. evidence.Values], statistics, seconds, withTasks, cancellationToken);

        KroneckerFactors? ReadFactors(LinearShape linear)
        {
            if (options.FactorsFrom is not { } folder)
                return null;
            KroneckerFactors factors = FactorFolder.Read(folder, linear.Kind, linear.Layer, linear.Rows, linear.Columns);
            evidence[linear.Name] = factors.Evidence;
            return factors;
        }

        CalibrationSet? ReadTokens() => options.FactorsFrom is { } folder ? CalibrationStage.TokensOf(folder) : null;

        void Accept(LinearShape linear, RoundedLinear rounded)
        {
            weights.Add(linear.Name, rounded.Weights);
            statistics.Add(rounded.Statistics);
            done += linear.Weights;
            _progress?.Report(new QuantizationProgress(
                "rounding", (double)done / total, linear.Layer, _folder.Config.Layers, linear.Name, rounded.Statistics.ProxyError, Stopwatch.GetElapsedTime(start)));
        }
    }

    /// <summary>Frees what remains of the original.</summary>
    public void Dispose()
    {
        _evaluation.Dispose();
        _folder.Dispose();
    }

    private QuantizationTrial Measure(
        DecoderModel model, MeasuredModel measured, IReadOnlyList<FactorEvidence> evidence, IReadOnlyList<RoundingStatistics> statistics, double seconds, bool withTasks,
        CancellationToken cancellationToken)
    {
        var (report, rows) = _evaluation.Measure(model, measured, withTasks, cancellationToken);
        return new QuantizationTrial(report, rows, evidence, statistics, seconds);
    }
}
