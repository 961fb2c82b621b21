using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Compute;
using FastKron.Native.Evaluation.Tasks;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;

namespace FastKron.Native.Batch;

/// <summary>Runs the jobs of a batch one after another in one process; factors are collected once for all rates of a model and its settings.</summary>
/// <remarks>
/// <para>
/// A job that fails does not stop the others. A batch that is started again skips what is finished and resumes what is half done, because every job is a
/// <see cref="QuantizationRun"/> and every collection a <see cref="FactorRun"/>. A collection lies in <c>factors/NAME-METHOD-HASH</c> of the batch's folder,
/// where HASH is that of its fingerprint (<see cref="JobFingerprint"/>), so that changed settings, text or weights never find the factors of others.
/// </para>
/// <para>A job's settings lie beside its result in <c>NAME.settings.json</c>; a job whose settings in the file have changed since is refused.</para>
/// <para>Jobs that are only measured (<see cref="BatchEntry.MeasureOnly"/>) leave <c>NAME.json</c>, with their settings in it: <see cref="QuantizationTrials"/>.</para>
/// </remarks>
public sealed class BatchRun
{
    private readonly IReadOnlyList<BatchJob> _jobs;
    private readonly string _factorFolder;
    private readonly bool _keepFactors;
    private readonly IBackend _backend;
    private readonly Action<string>? _warn;
    private readonly Dictionary<(BatchEntry Entry, string Method), string> _factorFolders = [];      // hashing a model is worth doing once
    private readonly Dictionary<string, string> _failedFactors = [];     // folder → why
    private (BatchEntry Entry, QuantizationTrials Trials)? _trials;

    /// <summary>Prepares a batch.</summary>
    /// <param name="file">The jobs.</param>
    /// <param name="backend">Where to run them.</param>
    /// <param name="warn">Is told what stops nothing but should be known.</param>
    public BatchRun(BatchFile file, IBackend backend, Action<string>? warn = null)
        : this(file.Expand(), Path.Combine(file.Output, "factors"), keepFactors: true, backend, warn)
    {
    }

    /// <summary>Prepares a batch of jobs that are not in a file.</summary>
    /// <param name="jobs">The jobs; those that share factors stand together.</param>
    /// <param name="factorFolder">Folder for collections of factors.</param>
    /// <param name="keepFactors">Whether a collection stays when its last job is done.</param>
    /// <param name="backend">Where to run them.</param>
    /// <param name="warn">Is told what stops nothing but should be known.</param>
    public BatchRun(IReadOnlyList<BatchJob> jobs, string factorFolder, bool keepFactors, IBackend backend, Action<string>? warn = null)
        => (_jobs, _factorFolder, _keepFactors, _backend, _warn) = (jobs, factorFolder, keepFactors, backend, warn);

    /// <summary>Estimates every collection and job that is not finished, in the order in which they will run.</summary>
    /// <param name="cancellationToken">Checked for every job.</param>
    public IReadOnlyList<BatchCost> Plan(CancellationToken cancellationToken = default)
    {
        var costs = new List<BatchCost>();
        var collections = new HashSet<string>();
        foreach (BatchJob job in _jobs)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Estimate(job.Name, () => CostOf(job, collections, Estimate));
        }
        return costs;

        void Estimate(string name, Func<BatchCost> make)
        {
            try
            {
                costs.Add(make());
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                costs.Add(new BatchCost(name, 0, 0, 0, 0, OneLine(e), CanStart: false));
            }
        }
    }

    // Of a job whose collection is neither there nor counted yet, that is estimated first.
    private BatchCost CostOf(BatchJob job, HashSet<string> collections, Action<string, Func<BatchCost>> estimate)
    {
        if (IsFinished(job) || job.Method == BatchMethods.Original)
            return new BatchCost(job.Name, 0, 0, 0, 0, IsFinished(job) ? "finished" : "only measured", CanStart: true);
        string? factors = FactorFolderOf(job);
        if (job.SharesFactors && !Directory.Exists(factors) && collections.Add(factors!))
        {
            string name = $"factors/{Path.GetFileName(factors)}";
            estimate(name, () => Cost(name, QuantizationPlan.Make(job.FactorOptions(_warn) with { Output = factors! }, _backend, factorsOnly: true)));
        }
        BatchCost cost = Cost(job.Name, QuantizationPlan.Make(job.Options(factors, _warn), _backend));
        return job.Entry.MeasureOnly ? cost with { DiskBytes = 0 } : cost;
    }

    private static BatchCost Cost(string name, QuantizationPlan plan) => new(
        name, plan.Linears.Quantized.Sum(l => l.Weights), plan.Memory.Sum(m => m.Bytes), plan.DiskBytes, plan.Stages.Sum(s => s.Seconds), plan.Warning, CanStart: true);

    /// <summary>Runs or resumes all jobs.</summary>
    /// <param name="digest">As <see cref="QuantizationRun.QuantizeAsync"/>.</param>
    /// <param name="onStart">Is told the name of each job and collection as it starts.</param>
    /// <param name="progress">Where the job in work stands.</param>
    /// <param name="cancellationToken">Ends the batch; it can be resumed.</param>
    /// <returns>A result for every job, in order.</returns>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public async Task<IReadOnlyList<BatchResult>> ExecuteAsync(
        Func<string, CancellationToken, Task<string>> digest, Action<string>? onStart = null, IProgress<QuantizationProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var results = new List<BatchResult>();
        try
        {
            for (int i = 0; i < _jobs.Count; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                try
                {
                    results.Add(await RunAsync(_jobs[i], digest, onStart, progress, cancellationToken).ConfigureAwait(false));
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    results.Add(new BatchResult(_jobs[i].Name, _jobs[i].Entry.Model, _jobs[i].Method, _jobs[i].Bits, BatchState.Failed, OneLine(e)));
                }
                if (!_keepFactors && results[^1].State != BatchState.Failed)
                    ReleaseFactors(i);
            }
        }
        finally
        {
            _trials?.Trials.Dispose();
            _trials = null;
        }
        return results;
    }

    private async Task<BatchResult> RunAsync(
        BatchJob job, Func<string, CancellationToken, Task<string>> digest, Action<string>? onStart, IProgress<QuantizationProgress>? progress, CancellationToken cancellationToken)
    {
        bool finished = IsFinished(job);
        BatchState state = finished ? BatchState.Finished : BatchState.Done;
        if (!finished && job.SharesFactors && FactorFolderOf(job) is { } factors && !Directory.Exists(factors))
            Collect(job, factors, onStart, progress, cancellationToken);
        if (!finished)
            onStart?.Invoke(job.Name);
        if (job.Entry.MeasureOnly)
            return Describe(job, state, finished ? BatchMeasurement.Read(job.Output) : Measure(job, progress, cancellationToken));
        return Describe(job, state, finished ? ReportFiles.Read(job.Output) : await QuantizeAsync(job, digest, progress, cancellationToken).ConfigureAwait(false));
    }

    private BatchMeasurement Measure(BatchJob job, IProgress<QuantizationProgress>? progress, CancellationToken cancellationToken)
    {
        QuantizationTrials trials = TrialsOf(job, progress, cancellationToken);
        string? factors = FactorFolderOf(job);
        QuantizationTrial trial = job.Method == BatchMethods.Original ? trials.MeasureOriginal(cancellationToken) : trials.Quantize(job.Options(factors, _warn), job.HasTasks, cancellationToken);
        var measurement = BatchMeasurement.Of(job, trial, job.SharesFactors ? BatchCollection.Find(factors!) : null);
        Directory.CreateDirectory(job.Folder);
        measurement.Write(job.Output);
        return measurement;
    }

    // The original is read once for neighbours that are measured alike.
    private QuantizationTrials TrialsOf(BatchJob job, IProgress<QuantizationProgress>? progress, CancellationToken cancellationToken)
    {
        if (_trials is { } open && open.Entry.IsMeasuredLike(job.Entry))
            return open.Trials;
        _trials?.Trials.Dispose();
        _trials = null;
        var trials = QuantizationTrials.Open(job.Evaluation(_warn)!, _backend, progress, cancellationToken);
        _trials = (job.Entry, trials);
        return trials;
    }

    private async Task<QuantizationReport> QuantizeAsync(
        BatchJob job, Func<string, CancellationToken, Task<string>> digest, IProgress<QuantizationProgress>? progress, CancellationToken cancellationToken)
    {
        string? factors = FactorFolderOf(job);
        QuantizationOptions options = job.Options(factors, _warn);
        if (!BatchSettings.Exist(job))
        {
            QuantizationPlan.RequireAbsent(options.Output);
            Directory.CreateDirectory(job.Folder);
            BatchSettings.Write(job);
        }
        return await QuantizationRun.QuantizeAsync(options, _backend, digest, job.Evaluation(_warn), progress, cancellationToken).ConfigureAwait(false);
    }

    private void Collect(BatchJob job, string folder, Action<string>? onStart, IProgress<QuantizationProgress>? progress, CancellationToken cancellationToken)
    {
        if (_failedFactors.TryGetValue(folder, out string? earlier))
            throw new InvalidDataException(earlier);
        onStart?.Invoke($"factors/{Path.GetFileName(folder)}");
        Directory.CreateDirectory(Path.GetDirectoryName(folder)!);
        try
        {
            IReadOnlyList<StageReport> stages = FactorRun.Execute(job.FactorOptions(_warn) with { Output = folder }, _backend, progress, cancellationToken);
            new BatchCollection(_backend.Name, stages).Write(folder);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            _failedFactors.Add(folder, OneLine(e));
            throw;
        }
    }

    // Deletes the factors of a job that none behind it needs. What goes wrong here is no failure of the job.
    private void ReleaseFactors(int index)
    {
        BatchJob job = _jobs[index];
        if (!job.SharesFactors || !_factorFolders.TryGetValue((job.Entry, job.Method), out string? folder) || !Directory.Exists(folder)
            || _jobs.Skip(index + 1).Any(later => Needs(later, folder)))
            return;
        try
        {
            BatchCollection.Delete(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _warn?.Invoke($"factors that no job needs any more stay: {OneLine(e)}");
        }
    }

    private bool Needs(BatchJob job, string folder)
    {
        try
        {
            return job.SharesFactors && FactorFolderOf(job) == folder && !IsFinished(job);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            return false;                        // it will say itself what is wrong with it
        }
    }

    // Where the factors of a job are or will be; null without.
    private string? FactorFolderOf(BatchJob job)
    {
        if (!job.SharesFactors)
            return job.HasFactors ? job.Entry.FactorsFrom : null;
        if (_factorFolders.TryGetValue((job.Entry, job.Method), out string? known))
            return known;
        string fingerprint = string.Concat(JobFingerprint.Compute(job.FactorOptions(_warn), _backend).Select(pair => $"{pair.Key}={pair.Value}\n"));
        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(fingerprint)))[..12];
        return _factorFolders[(job.Entry, job.Method)] = Path.Combine(_factorFolder, $"{job.Entry.Label}-{job.Method}-{hash}");
    }

    // Refuses a job that was begun or finished with other settings.
    private static bool IsFinished(BatchJob job)
    {
        if (job.Entry.MeasureOnly)
        {
            if (!File.Exists(job.Output))
                return false;
            BatchSettings.RequireSame(job, BatchMeasurement.Read(job.Output).Settings, job.Output, "the file");
            return true;
        }
        if (!BatchSettings.Exist(job))
            return false;
        BatchSettings.RequireSame(job);
        return Directory.Exists(job.Output) && !Directory.Exists(job.Output + ".run");
    }

    private static BatchResult Describe(BatchJob job, BatchState state, QuantizationReport report)
        => Describe(job, state, report.Output, report.Size.StoredBits, report.Evaluation, report.Stages.Sum(stage => stage.Seconds));

    private static BatchResult Describe(BatchJob job, BatchState state, BatchMeasurement measurement)
        => Describe(job, state, job.Output, measurement.Evaluation.Model.LinearBits, measurement.Evaluation, measurement.RoundingSeconds + measurement.Evaluation.Seconds);

    private static BatchResult Describe(BatchJob job, BatchState state, string output, double storedBits, EvaluationReport? evaluation, double seconds)
    {
        TextReport? text = evaluation?.Texts is [var first, ..] ? first : null;
        return new BatchResult(
            job.Name, job.Entry.Model, job.Method, job.Bits, state, Error: null, output, storedBits,
            text?.Measured.Perplexity, text?.Original?.Perplexity, text?.Divergence?.Mean, text?.Divergence?.StandardError, seconds,
            evaluation?.Tasks is { Count: > 0 } tasks ? TaskAverage.Of(TaskAverage.Averaged(tasks)).Acc : null);
    }

    // What a user can cause speaks for itself; of anything else the kind is worth knowing.
    private static string OneLine(Exception e)
    {
        bool expected = e is InvalidDataException or IOException or NotSupportedException or ArgumentException;
        return (expected ? e.Message : $"{e.GetType().Name}: {e.Message}").ReplaceLineEndings(" ");
    }
}
