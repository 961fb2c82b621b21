using FastKron.Native.Batch;
using FastKron.Native.Benchmarking;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Evaluation;
using FastKron.Native.Experiments;
using FastKron.Native.Reports;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Experiments;

/// <summary>A whole experiment on a generated model: cells of a fraction of a second.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class ExperimentRunTests : IDisposable
{
    private const string Task = "piqa";

    private readonly TemporaryFolder _folder = new();
    private readonly CpuBackend _backend = new();
    private readonly List<string> _started = [];
    private readonly ExperimentModel _model;

    private readonly ExperimentSettings _settings = new()
    {
        Title = "Small",
        Text = "self:512",
        Block = 64,
        Tasks = [Task, "boolq"],
        TaskBits = [2],
        Bits = [2, 3],
        RotationSeeds = [0, 1],
        Gradients = 4,
        Context = 64,
        Rows =
        [
            new ExperimentRow { Name = "16-bit", Method = BatchMethods.Original }, new ExperimentRow { Name = "none", Method = BatchMethods.None },
            new ExperimentRow { Name = "ldlq", Method = "activation", Tokens = [500], RotationSeeds = [1] },
            new ExperimentRow { Name = "fastkron", Method = "likelihood", Tokens = [500, 1000], Bits = [2] },
            new ExperimentRow { Name = "plain", Method = "likelihood", Tokens = [500], Bits = [2], RotationSeeds = [1], Rounding = "published" },
        ],
        Rivals = ["none"],
        Claims = [new ExperimentClaim { Text = "More tokens do no harm.", Line = "fastkron@1K", Against = "fastkron@500", AtMost = 100, Bits = [2] }],
    };

    public ExperimentRunTests()
    {
        _model = new ExperimentModel("small", GeneratedModel.WriteWithTokenizer(_folder.File("model")));
        Directory.CreateDirectory(_folder.File("tasks"));
        File.WriteAllLines(_folder.File("tasks/piqa.jsonl"), Enumerable.Range(0, 6).Select(i => $$"""{"goal": "Open {{i}}", "sol1": "with a key", "sol2": "by shouting {{i}}", "label": {{i % 2}}}"""));
        File.WriteAllLines(_folder.File("tasks/boolq.jsonl"), Enumerable.Range(0, 4).Select(i => $$"""{"passage": "It is {{i}}.", "question": "is it {{i}}", "answer": true}"""));
    }

    private string Output => _folder.File("results");

    public void Dispose()
    {
        _backend.Dispose();
        _folder.Dispose();
    }

    [Test]
    public async Task ExecuteAsync_Interrupted_GoesOnFromItsCellsAndGivesTheWholeTable()
    {
        ExperimentRun run = Run();
        Assert.That(run.Cells, Has.Count.EqualTo(1 + 4 + 2 + 4 + 1));
        using CancellationTokenSource source = new();
        Assert.That(
            () => run.ExecuteAsync(_backend, name => { _started.Add(name); if (name.Contains("fastkron@500", StringComparison.Ordinal)) source.Cancel(); }, cancellationToken: source.Token),
            Throws.InstanceOf<OperationCanceledException>());
        ExperimentTable partial = run.Read();
        Assert.That(partial.Missing, Is.EqualTo(new[] { "small-fastkron@500-2bit-seed0", "small-fastkron@500-2bit-seed1", "small-fastkron@1K-2bit-seed0", "small-fastkron@1K-2bit-seed1", "small-plain@500-2bit-seed1" }));
        Assert.That(partial.Verdicts.Single().Outcome, Is.EqualTo(ExperimentOutcome.NotMeasured));
        Assert.That(ExperimentReport.Markdown(partial), Does.Contain("Not measured yet: 5 cells").And.Contain("| fastkron@1K | 0 of 2 … |"));

        // What is carried to another machine is the folder of cells.
        Directory.Move(Path.Combine(Output, "cells"), _folder.File("cells"));
        Directory.Delete(Output, recursive: true);
        Directory.CreateDirectory(Output);
        Directory.Move(_folder.File("cells"), Path.Combine(Output, "cells"));
        _started.Clear();
        IReadOnlyList<BatchResult> results = await run.ExecuteAsync(_backend, _started.Add);
        Assert.That(results.Select(r => r.Error), Is.All.Null);
        Assert.That(_started.Where(name => !name.StartsWith("factors/", StringComparison.Ordinal)), Is.EqualTo(partial.Missing));
        Assert.That(_started.Count(name => name.StartsWith("factors/", StringComparison.Ordinal)), Is.EqualTo(2), "ways of rounding share factors");
        Assert.That(Directory.GetFileSystemEntries(Output).Select(Path.GetFileName), Is.EqualTo(new[] { "cells" }), "neither factors nor models stay");

        ExperimentTable table = run.Read();
        Assert.That(table.Missing, Is.Empty);
        Assert.That(table.Sections.Select(s => (s.Model, s.Bits, Lines: string.Join(' ', s.Lines.Select(l => l.Name)))), Is.EqualTo(new[]
        {
            ("small", 2, "16-bit none ldlq@500 fastkron@500 fastkron@1K plain@500"), ("small", 3, "16-bit none ldlq@500"),
        }));
        AssertNumbers(table.Sections[0], run);
        Assert.That((table.Verdicts[0].Outcome, table.Verdicts[0].Ratio), Is.EqualTo((ExperimentOutcome.Confirmed, table.Sections[0].Lines[4].Divergence!.Value / table.Sections[0].Lines[3].Divergence!.Value)));
        AssertReports(table);

        File.Delete(run.Cells.First(c => c.Line.Name == "none" && c.Job.Bits == 2).Job.Output);
        BenchmarkRecord[] records = [.. ExperimentRecords.Of(run.Read(), "fastkron experiment small")];
        Assert.That(records.Select(r => r.Case), Has.Some.EqualTo("small/2bit/none@seed-1").And.None.EqualTo("small/2bit/none").And.Some.EqualTo("small/3bit/none"));
        Assert.That(records.Single(r => r.Case == "small/2bit/fastkron@500").RivalValue, Is.Null, "part of the seeds is no rival");
    }

    [Test]
    public async Task Read_CellsOfAnotherModel_AreRefused()
    {
        ExperimentRun run = Run(bits: [3]);
        await run.ExecuteAsync(_backend);
        string cell = run.Cells[^1].Job.Output, text = await File.ReadAllTextAsync(cell), hash = BatchMeasurement.Read(cell).Evaluation.Original!.Hash;
        await File.WriteAllTextAsync(cell, text.Replace(hash, new string('0', hash.Length), StringComparison.Ordinal));
        Assert.That(run.Read, Throws.TypeOf<InvalidDataException>().With.Message.Contains(cell).And.Message.Contains("found original 000000000000"));
    }

    [Test]
    public void Constructor_BadModelsOrBits_AreRefused()
    {
        Assert.That(() => Run(bits: [4]), Throws.ArgumentException.With.Message.Contains("2, 3"));
        Assert.That(() => new ExperimentRun(_settings, [_model, _model], "", Output), Throws.ArgumentException.With.Message.Contains("small twice"));
        Assert.That(() => ExperimentModel.Parse("=x"), Throws.ArgumentException);
        Assert.That(ExperimentModel.Parse("a=b/c/"), Is.EqualTo(new ExperimentModel("a", "b/c/")));
        Assert.That(ExperimentModel.Parse("b/c/").Name, Is.EqualTo("c"));
    }

    // Every figure of a section against what its cells hold.
    private static void AssertNumbers(ExperimentSection section, ExperimentRun run)
    {
        BatchMeasurement[] Cells(string line) => [.. run.Cells.Where(c => c.Line.Name == line && c.Job.Bits is 2 or 16).Where(c => c.Line.Name == line).Select(c => BatchMeasurement.Read(c.Job.Output))];
        using (Assert.EnterMultipleScope())
        {
            foreach (ExperimentLine line in section.Lines)
            {
                BatchMeasurement[] cells = Cells(line.Name);
                Assert.That(line.Seeds, Has.Count.EqualTo(cells.Length));
                Assert.That(line.Divergence!.Value, Is.EqualTo(cells.Average(c => c.Evaluation.Texts[0].Divergence!.Mean)).Within(1e-6), "float means of blocks");
                Assert.That(line.Perplexity!.Value, Is.EqualTo(Math.Exp(cells.Average(c => Math.Log(c.Evaluation.Texts[0].Measured.Perplexity)))).Within(1e-6 * line.Perplexity.Value));
                Assert.That(line.Tasks[Task].Value, Is.EqualTo(cells.Average(c => c.Evaluation.Tasks[0].Acc)).Within(1e-12));
                Assert.That(line.Average!.Value, Is.EqualTo(line.Tasks.Values.Average(t => t.Value)).Within(1e-12));
            }
            Assert.That(section.Lines[5].DivergenceOfSeeds[0], Is.Not.EqualTo(section.Lines[3].DivergenceOfSeeds[1]), "rounded in another way");
            ExperimentLine none = section.Lines[1], ldlq = section.Lines[2];
            double[] Blocks(BatchMeasurement cell) => [.. cell.Evaluation.Texts[0].Divergence!.Blocks];
            double[] ldlqBlocks = Blocks(Cells("ldlq@500")[0]), noneBlocks = Blocks(Cells("none")[1]);
            Assert.That(ldlq.Differences.Single().Divergence!.Value, Is.EqualTo(Statistics.Mean(ldlqBlocks) - Statistics.Mean(noneBlocks)).Within(1e-12), "only seed 1 is common");
            Assert.That(ldlq.Differences[0].Divergence!.Error, Is.EqualTo(Statistics.PairedStandardError(ldlqBlocks, noneBlocks)).Within(1e-12));
            Assert.That(none.Differences, Is.Empty, "of itself");
            Assert.That(section.Lines[0].Divergence!.Value, Is.Zero);
            Assert.That(section.Lines[0].Differences.Single().Divergence!.Value, Is.EqualTo(-none.Divergence!.Value).Within(1e-12), "the original is paired with every seed");
        }
    }

    private void AssertReports(ExperimentTable table)
    {
        string markdown = ExperimentReport.Markdown(table), html = ExperimentReport.Html(table);
        BenchmarkRecord[] records = [.. ExperimentRecords.Of(table, "fastkron experiment small")];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(markdown, Does.Contain("## small, 2 bits").And.Contain("| fastkron@1K | 2 | ").And.Contain("confirmed in 1 of 1").And.Not.Contain("…, "));
            Assert.That(html, Does.Contain("<svg ").And.Contain("fastkron@1K").And.EndWith("</html>\n"));
            Assert.That(ExperimentReport.Plots(table).Select(p => p.Name), Is.EqualTo(new[] { "kl-small-2bit.svg", "kl-small-3bit.svg" }));
            Assert.That(records.Select(r => (r.Suite, r.Case, r.Unit)), Is.Unique.And.SupersetOf(new[]
            {
                ("quality", "small/2bit/fastkron@1K", "kl"), ("quality", "small/2bit/fastkron@1K@seed-1", "kl"), ("quality", "small/16bit/16-bit/perplexity", "ppl"),
                ("tasks", "piqa/small/2bit/ldlq@500", "acc"), ("tasks", "average/small/2bit/none", "acc"),
            }));
            Assert.That(records.Where(r => r.Suite == "tasks").Select(r => r.Case), Has.None.Contains("/3bit/"), "tasks are wanted at 2 bits");
            BenchmarkRecord record = records.Single(r => r.Case == "small/2bit/fastkron@500");
            Assert.That((record.Rival, record.RivalValue), Is.EqualTo(("none", table.Sections[0].Lines[1].Divergence!.Value)));
            Assert.That(record.Machine, Is.EqualTo(_backend.Name));
        }
    }

    private ExperimentRun Run(IReadOnlyCollection<double>? bits = null) => new(_settings, [_model], _folder.Path, Output, bits);
}
