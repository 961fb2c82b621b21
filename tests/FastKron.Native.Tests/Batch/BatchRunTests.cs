using FastKron.Native.Batch;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Quantization;
using FastKron.Native.Reports;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Batch;

/// <summary>Batches of a generated model that quantizes in well under a second.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class BatchRunTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly CpuBackend _backend = new();
    private readonly List<string> _started = [];
    private readonly string _model;

    public BatchRunTests() => _model = GeneratedModel.Write(_folder.File("model"));

    private string Results => _folder.File("results");

    public void Dispose()
    {
        _backend.Dispose();
        _folder.Dispose();
    }

    [Test]
    public async Task ExecuteAsync_TwoMethodsAtTwoRates_CollectsFactorsOnceEach()
    {
        BatchFile file = Batch(Entry("activation", "likelihood") with { Bits = [2, 3] });
        IReadOnlyList<BatchResult> results = await RunAsync(file);
        Assert.That(results.Select(r => (r.Name, r.State, r.Error)), Is.EqualTo(new[] { "model-activation-2bit", "model-activation-3bit", "model-likelihood-2bit", "model-likelihood-3bit" }
            .Select(name => (name, BatchState.Done, (string?)null))));
        Assert.That(_started.Count(name => name.StartsWith("factors/", StringComparison.Ordinal)), Is.EqualTo(2));
        Assert.That(Directory.GetDirectories(Path.Combine(Results, "factors")), Has.Length.EqualTo(2));
        Assert.That(results.Select(r => r.StoredBits), Is.All.GreaterThan(2));

        // The same as a run of its own with the same factors.
        BatchJob job = file.Expand()[2];
        string factors = Directory.GetDirectories(Path.Combine(Results, "factors")).Single(path => path.Contains("likelihood", StringComparison.Ordinal)), alone = _folder.File("alone");
        await QuantizationRun.QuantizeAsync(job.Options(factors, warn: null) with { Output = alone }, _backend, DigestAsync);
        Assert.That(Weights(alone), Is.EqualTo(Weights(job.Output)));
    }

    [Test]
    public async Task ExecuteAsync_RunAgain_SkipsWhatIsFinished()
    {
        BatchFile file = Batch(Entry("none", "likelihood"));
        IReadOnlyList<BatchResult> first = await RunAsync(file);
        _started.Clear();
        IReadOnlyList<BatchResult> again = await RunAsync(file);
        Assert.That(_started, Is.Empty);
        Assert.That(again, Is.EqualTo(first.Select(r => r with { State = BatchState.Finished })));

        // Another rate takes the factors that are there.
        IReadOnlyList<BatchResult> more = await RunAsync(Batch(Entry("none", "likelihood") with { Bits = [2, 4] }));
        Assert.That(more.Select(r => r.State), Is.EqualTo(new[] { BatchState.Finished, BatchState.Done, BatchState.Finished, BatchState.Done }));
        Assert.That(_started, Is.EqualTo(new[] { "model-none-4bit", "model-likelihood-4bit" }));
    }

    [Test]
    public async Task ExecuteAsync_FailingJobs_DoNotStopTheOthers()
    {
        BatchEntry gone = Entry("likelihood") with { Model = _folder.File("nowhere"), Bits = [2, 3] }, badText = Entry("likelihood") with { Name = "text", Calibration = [_folder.File("no.txt")], Bits = [2, 3] };
        IReadOnlyList<BatchResult> results = await RunAsync(Batch(gone, badText, Entry("none")));
        Assert.That(results.Select(r => r.State), Is.EqualTo(new[] { BatchState.Failed, BatchState.Failed, BatchState.Failed, BatchState.Failed, BatchState.Done }));
        Assert.That(results.Take(2).Select(r => r.Error), Is.All.Contains("nowhere").And.All.Not.Contains("\n"));
        Assert.That(results.Skip(2).Take(2).Select(r => r.Error), Is.All.Contains("no.txt"));
        Assert.That(results[^1].Output, Is.EqualTo(Path.Combine(Results, "model-none-2bit")));
    }

    [Test]
    public async Task ExecuteAsync_Cancelled_GoesOnToTheSameBytes([Values("factors", "rounding")] string phase)
    {
        BatchFile file = Batch(Entry("none", "likelihood"));
        using CancellationTokenSource source = new();
        int reports = 0;
        Progress progress = new(p =>
        {
            if (p.Phase == phase && _started[^1].Contains("likelihood", StringComparison.Ordinal) && ++reports == 3)
                source.Cancel();
        });
        Assert.That(() => RunAsync(file, progress, source.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(Directory.Exists(file.Expand()[1].Output), Is.False);
        IReadOnlyList<BatchResult> results = await RunAsync(file);
        Assert.That(results.Select(r => r.State), Is.EqualTo(new[] { BatchState.Finished, BatchState.Done }));

        byte[] resumed = Weights(results[1].Output!);
        Directory.Delete(Results, recursive: true);
        await RunAsync(file);
        Assert.That(Weights(results[1].Output!), Is.EqualTo(resumed));
    }

    [Test]
    public async Task ExecuteAsync_ChangedSettings_AreRefusedByName()
    {
        await RunAsync(Batch(Entry("activation")));
        IReadOnlyList<BatchResult> results = await RunAsync(Batch(Entry("activation") with { Tokens = 1024, Seed = 3 }, Entry("none")));
        Assert.That(results.Select(r => r.State), Is.EqualTo(new[] { BatchState.Failed, BatchState.Done }));
        Assert.That(results[0].Error, Does.Contain("seed was 0, is 3").And.Contain("tokens was 512, is 1024").And.Not.Contain("bits"));
    }

    [Test]
    public async Task ExecuteAsync_OutputOfSomethingElse_IsKept()
    {
        string output = Path.Combine(Results, "model-none-2bit");
        Directory.CreateDirectory(output);
        IReadOnlyList<BatchResult> results = await RunAsync(Batch(Entry("none")));
        Assert.That(results[0].Error, Does.Contain(output).And.Contain("exists already"));
        Assert.That(Directory.EnumerateFileSystemEntries(output), Is.Empty);
    }

    [Test]
    public async Task ExecuteAsync_ForeignFactors_AreUsed()
    {
        string factors = _folder.File("factors");
        Directory.CreateDirectory(factors);
        foreach (LinearShape linear in LinearShape.AllOf(FastKron.Native.Formats.ModelConfigReader.Read(Path.Combine(_model, "config.json"))))
            TorchFiles.Write(Path.Combine(factors, $"{linear.ShortName}_hin.pt"), [.. Enumerable.Range(0, linear.Columns).SelectMany(i => Enumerable.Range(0, i + 1).Select(j => i == j ? 3f : 0.01f))]);
        IReadOnlyList<BatchResult> results = await RunAsync(Batch(Entry("likelihood") with { FactorsFrom = factors }));
        Assert.That((results[0].State, results[0].Error), Is.EqualTo((BatchState.Done, (string?)null)));
        Assert.That(_started, Is.EqualTo(new[] { "model-likelihood-2bit" }));
        Assert.That(ReportFiles.Read(results[0].Output!).Linears.Select(l => l.Factors?.Source), Is.All.EqualTo("sketch"));
    }

    [Test]
    public async Task ExecuteAsync_WithText_GivesPerplexityAndDivergence()
    {
        BatchEntry entry = Entry("none") with { Model = SharedData.Model("tiny-llama"), Skip = ["q", "k", "v", "o", "gate", "up", "1_down", "2_down", "3_down"], Evaluate = "self:512", Block = 128 };
        BatchResult result = (await RunAsync(Batch(entry)))[0];
        Assert.That(result.Error, Is.Null);
        Assert.That(new[] { result.Perplexity, result.OriginalPerplexity, result.Divergence }, Is.All.GreaterThan(0));
        Assert.That(result.Perplexity, Is.GreaterThan(result.OriginalPerplexity!.Value), "one matrix at 2 bits, text of the original itself");
    }

    [Test]
    public async Task ExecuteAsync_MeasureOnly_GivesTheNumbersOfAKeptModelAndLeavesNone()
    {
        string model = GeneratedModel.WriteWithTokenizer(_folder.File("measured"));
        BatchEntry kept = Entry("likelihood") with { Model = model, Name = "kept", Evaluate = "self:512", Block = 64 }, measured = kept with { Name = "measured", MeasureOnly = true, RotationSeeds = [0, 5] };
        BatchEntry original = measured with { Name = "as-it-is", Methods = [BatchMethods.Original], Bits = [16], RotationSeeds = null };
        BatchResult[] results = [.. await RunAsync(Batch(kept, measured, original))];
        Assert.That(results.Select(r => (r.State, r.Error)), Is.All.EqualTo((BatchState.Done, (string?)null)));

        // Neither writing a model nor reading it back changes a bit.
        static (double?, double?, double?, double?, double?) Numbers(BatchResult r) => (r.Perplexity, r.OriginalPerplexity, r.Divergence, r.DivergenceError, r.StoredBits);
        Assert.That(Numbers(results[1]), Is.EqualTo(Numbers(results[0])));
        Assert.That(results[2].Divergence, Is.Not.EqualTo(results[1].Divergence), "another rotation");
        Assert.That((results[3].Divergence, results[3].StoredBits), Is.EqualTo((0.0, 16.0)));
        Assert.That(_started.Count(name => name.StartsWith("factors/measured-", StringComparison.Ordinal)), Is.EqualTo(1), "seeds of signs share factors");
        Assert.That(Directory.GetDirectories(Results).Select(Path.GetFileName), Is.EquivalentTo(new[] { "factors", "kept-likelihood-2bit" }));

        var measurement = BatchMeasurement.Read(results[1].Output!);
        Assert.That((measurement.Factors!.Tokens, measurement.Factors.Gradients, measurement.Fallbacks), Is.EqualTo((512, 4, 0)));
        Assert.That(measurement.Factors.Seconds, Is.Positive);

        _started.Clear();
        Assert.That(await RunAsync(Batch(kept, measured, original)), Is.EqualTo(results.Select(r => r with { State = BatchState.Finished })));
        Assert.That(_started, Is.Empty);
        BatchResult changed = (await RunAsync(Batch(measured with { Tokens = 1024 })))[0];
        Assert.That(changed.Error, Does.Contain("tokens was 512, is 1024"));
    }

    [Test]
    public async Task ExecuteAsync_FactorsNotKept_GoWithTheirLastJob()
    {
        string model = GeneratedModel.WriteWithTokenizer(_folder.File("measured")), factors = _folder.File("factors");
        BatchFile file = Batch(Entry("activation", "likelihood") with { Model = model, Bits = [2, 3], Evaluate = "self:128", Block = 64, MeasureOnly = true });
        List<int> there = [];
        await new BatchRun(file.Expand(), factors, keepFactors: false, _backend).ExecuteAsync(DigestAsync, _ => there.Add(Directory.Exists(factors) ? Directory.GetDirectories(factors).Length : 0));
        Assert.That(there, Is.EqualTo(new[] { 0, 1, 1, 0, 1, 1 }));
        Assert.That(Directory.EnumerateFileSystemEntries(factors), Is.Empty);
    }

    [Test]
    public async Task ExecuteAsync_FactorsNotKeptAndALaterJobBroken_FailsThatJobAlone()
    {
        string model = GeneratedModel.WriteWithTokenizer(_folder.File("measured")), factors = _folder.File("factors");
        BatchEntry good = Entry("activation") with { Model = model, Evaluate = "self:128", Block = 64, MeasureOnly = true };
        BatchFile file = Batch(good, good with { Name = "broken", Calibration = [_folder.File("nowhere.txt")] });
        IReadOnlyList<BatchResult> results = await new BatchRun(file.Expand(), factors, keepFactors: false, _backend).ExecuteAsync(DigestAsync);
        Assert.That(results.Select(r => r.State), Is.EqualTo(new[] { BatchState.Done, BatchState.Failed }));
        Assert.That(results[1].Error, Does.Contain("nowhere.txt"));
    }

    [Test]
    public async Task Plan_BeforeAndAfter_CountsCollectionsOnceAndNothingTwice()
    {
        BatchFile file = Batch(Entry("likelihood") with { Bits = [2, 3] }, Entry("none") with { Model = _folder.File("nowhere") });
        IReadOnlyList<BatchCost> costs = new BatchRun(file, _backend).Plan();
        Assert.That(costs.Select(c => c.Name), Has.Exactly(1).StartsWith("factors/model-likelihood-"));
        Assert.That(costs.Select(c => c.CanStart), Is.EqualTo(new[] { true, true, true, false }));
        Assert.That(costs.Take(3).Select(c => c.DiskBytes), Is.All.Positive);
        Assert.That(costs.Take(3).Select(c => c.Seconds), Is.All.Positive);
        Assert.That(costs[^1].Note, Does.Contain("nowhere"));
        Assert.That(Directory.Exists(Results), Is.False);

        await RunAsync(Batch(Entry("likelihood") with { Bits = [2, 3] }));
        Assert.That(new BatchRun(file, _backend).Plan().Select(c => (c.Seconds, c.Note)).Take(2), Is.EqualTo(new[] { (0.0, "finished"), (0.0, "finished") }));
    }

    private BatchEntry Entry(params string[] methods) => new() { Model = _model, Methods = methods, Tokens = 512, Gradients = 4, Context = 64 };

    private BatchFile Batch(params BatchEntry[] entries) => new() { Output = Results, Jobs = entries };

    private Task<IReadOnlyList<BatchResult>> RunAsync(BatchFile file, IProgress<QuantizationProgress>? progress = null, CancellationToken cancellationToken = default)
        => new BatchRun(file, _backend).ExecuteAsync(DigestAsync, _started.Add, progress, cancellationToken);

    private Task<string> DigestAsync(string folder, CancellationToken cancellationToken) => Task.FromResult(ModelDigest.OfFolder(folder, _backend, cancellationToken));

    private static byte[] Weights(string folder) => File.ReadAllBytes(Path.Combine(folder, "model.safetensors"));

    private sealed class Progress(Action<QuantizationProgress> report) : IProgress<QuantizationProgress>
    {
        public void Report(QuantizationProgress value) => report(value);
    }
}
