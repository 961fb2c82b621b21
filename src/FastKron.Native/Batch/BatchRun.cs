using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Compute;
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
/// </remarks>
public sealed class BatchRun
{
    private readonly IReadOnlyList<BatchJob> _jobs;
    private readonly string _folder;
    private readonly IBackend _backend;
    private readonly Action<string>? _warn;
    private readonly Dictionary<(BatchEntry Entry, string Method), string> _factorFolders = [];      // hashing a model is worth doing once
    private readonly Dictionary<string, string> _failedFactors = [];     // folder → why

    /// <summary>Prepares a batch.</summary>
    /// <param name="file">The jobs.</param>
    /// <param name="backend">Where to run them.</param>
    /// <param name="warn">Is told what stops nothing but should be known.</param>
    public BatchRun(BatchFile file, IBackend backend, Action<string>? warn = null) => (_jobs, _folder, _backend, _warn) = (file.Expand(), file.Output, backend, warn);

    /// <summary>Estimates every collection and job that is not finished, in the order in which they will run.</summary>
    /// <param name="cancellationToken">Checked for every job.</param>
    public IReadOnlyList<BatchCost> Plan(CancellationToken cancellationToken = default)
    {
        var costs = new List<BatchCost>();
        var collections = new HashSet<string>();
        foreach (BatchJob job in _jobs)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Estimate(job.Name, () =>
            {
                if (IsFinished(job))
                    return null;
                string? factors = FactorFolderOf(job);
                if (job.SharesFactors && !Directory.Exists(factors) && collections.Add(factors!))
                {
                    QuantizationOptions collection = job.FactorOptions(_warn) with { Output = factors! };
                    Estimate($"factors/{Path.GetFileName(factors)}", () => QuantizationPlan.Make(collection, _backend, factorsOnly: true));
                }
                return QuantizationPlan.Make(job.Options(factors, _warn), _backend);
            });
        }
        return costs;

        void Estimate(string name, Func<QuantizationPlan?> make)
        {
            try
            {
                QuantizationPlan? plan = make();
                costs.Add(plan is null ? new BatchCost(name, 0, 0, 0, 0, "finished", CanStart: true) : new BatchCost(
                    name, plan.Linears.Quantized.Sum(l => l.Weights), plan.Memory.Sum(m => m.Bytes), plan.DiskBytes, plan.Stages.Sum(s => s.Seconds),
                    plan.Warning, CanStart: true));
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                costs.Add(new BatchCost(name, 0, 0, 0, 0, OneLine(e), CanStart: false));
            }
        }
    }

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
        foreach (BatchJob job in _jobs)
        {
            cancellationToken.ThrowIfCancellationRequested();
            try
            {
                bool finished = IsFinished(job);
                QuantizationReport report = finished
                    ? ReportFiles.Read(job.Output)
                    : await RunAsync(job, digest, onStart, progress, cancellationToken).ConfigureAwait(false);
                results.Add(Describe(job, finished ? BatchState.Finished : BatchState.Done, report));
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                results.Add(new BatchResult(job.Name, job.Entry.Model, job.Method, job.Bits, BatchState.Failed, OneLine(e)));
            }
        }
        return results;
    }

    private async Task<QuantizationReport> RunAsync(
        BatchJob job, Func<string, CancellationToken, Task<string>> digest, Action<string>? onStart, IProgress<QuantizationProgress>? progress, CancellationToken cancellationToken)
    {
        string? factors = FactorFolderOf(job);
        if (job.SharesFactors && !Directory.Exists(factors))
            Collect(job, factors!, onStart, progress, cancellationToken);
        onStart?.Invoke(job.Name);
        QuantizationOptions options = job.Options(factors, _warn);
        if (!BatchSettings.Exist(job))
        {
            QuantizationPlan.RequireAbsent(options.Output);
            Directory.CreateDirectory(_folder);
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
            FactorRun.Execute(job.FactorOptions(_warn) with { Output = folder }, _backend, progress, cancellationToken);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            _failedFactors.Add(folder, OneLine(e));
            throw;
        }
    }

    // Where the factors of a job are or will be; null without.
    private string? FactorFolderOf(BatchJob job)
    {
        if (!job.SharesFactors)
            return job.Method == "none" ? null : job.Entry.FactorsFrom;
        if (_factorFolders.TryGetValue((job.Entry, job.Method), out string? known))
            return known;
        string fingerprint = string.Concat(JobFingerprint.Compute(job.FactorOptions(_warn), _backend).Select(pair => $"{pair.Key}={pair.Value}\n"));
        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(fingerprint)))[..12];
        return _factorFolders[(job.Entry, job.Method)] = Path.Combine(_folder, "factors", $"{job.Entry.Label}-{job.Method}-{hash}");
    }

    // Refuses a job that was begun or finished with other settings.
    private static bool IsFinished(BatchJob job)
    {
        if (!BatchSettings.Exist(job))
            return false;
        BatchSettings.RequireSame(job);
        return Directory.Exists(job.Output) && !Directory.Exists(job.Output + ".run");
    }

    private static BatchResult Describe(BatchJob job, BatchState state, QuantizationReport report)
    {
        TextReport? text = report.Evaluation?.Texts is [var first, ..] ? first : null;
        return new BatchResult(
            job.Name, job.Entry.Model, job.Method, job.Bits, state, Error: null, report.Output, report.Size.StoredBits,
            text?.Measured.Perplexity, text?.Original?.Perplexity, text?.Divergence?.Mean, text?.Divergence?.StandardError, report.Stages.Sum(stage => stage.Seconds));
    }

    // What a user can cause speaks for itself; of anything else the kind is worth knowing.
    private static string OneLine(Exception e)
    {
        bool expected = e is InvalidDataException or IOException or NotSupportedException or ArgumentException;
        return (expected ? e.Message : $"{e.GetType().Name}: {e.Message}").ReplaceLineEndings(" ");
    }
}
