using System.Text;
using FastKron.Native.Compute;
using FastKron.Native.Evaluation;
using FastKron.Native.Reports;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation;

[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "NUnit calls DeleteFolder")]
public sealed class ModelEvaluationTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void Run_EverythingAgainstItself_IsWrittenReadBackAndEqual()
    {
        string model = SharedData.Model("tiny-llama");
        WriteInputs();
        using IBackend backend = Backends.Create("cpu");
        var stages = new List<string>();
        var options = new EvaluationOptions
        {
            Model = model,
            Original = model,
            Texts = [_folder.File("text.txt"), _folder.File("wiki.raw") + ":pages", _folder.File("text.txt") + ":gguf", "self:256"],
            Tasks = ["boolq", $"piqa={_folder.File("mine.jsonl")}"],
            TaskFolder = _folder.Path,
            BosModes = [BosMode.None, BosMode.Tokenizer],
            BlockLength = 64,
            Limit = 2,
            Prompt = "The old man",
            PromptTokens = 3,
            Output = _folder.File("result"),
        };
        EvaluationReport report = ModelEvaluation.Run(options, backend, new Recorder(stages));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(report.Texts.Select(t => t.Measured.Protocol), Is.EqualTo(["block/text.txt/64", "rolling/wikitext", "gguf/64", "block/self-1/64"]));
            Assert.That(report.Texts.Select(t => t.Divergence?.Protocol), Is.EqualTo(["kl/block/64", null, null, "kl/block/64"]));
            Assert.That(report.Texts.Select(t => t.Measured.Perplexity), Is.EqualTo(report.Texts.Select(t => t.Original!.Perplexity)));
            Assert.That(report.Tasks.Select(t => (t.Task, t.BosMode, t.Documents, t.FileDocuments, t.Split)), Is.EqualTo([
                ("boolq", "none", 2, 3, null), ("boolq", "tokenizer", 2, 3, null), ("piqa", "none", 2, 3, (string?)null), ("piqa", "tokenizer", 2, 3, null),
            ]));
            Assert.That(report.Warnings, Has.Count.EqualTo(2), "neither file is a published set");
            Assert.That((report.Model.LinearBits, report.Model.ModelBits, report.Model.Weights), Is.EqualTo((16.0, 16.0, "BF16")));
            Assert.That(report.MeasuredText, Does.StartWith("The old man").And.EqualTo(report.OriginalText));
            Assert.That(stages.Distinct(), Is.EqualTo([
                "original, text.txt", "original, wiki.raw", "original, self-1", "text.txt", "wiki.raw", "self-1", "boolq", "boolq, BOS", "piqa", "piqa, BOS",
            ]));
        }

        EvaluationResult read = EvaluationResult.Read(options.Output);
        ComparedNumber[] differences = [.. RunComparison.Of([read, read]).Measures.Where(m => m.Kind != "bits").Select(m => m.Numbers[1]!)];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(read.Rows.Select(r => r.Count), Is.EqualTo([2, 2, 2, 2]));
            Assert.That(read.Report.Tasks.Select(t => t.Acc), Is.EqualTo(report.Tasks.Select(t => t.Acc)));
            Assert.That(differences.Select(n => n.Difference), Is.All.Zero);
            Assert.That(differences.Where(n => n.Probability is not null).Select(n => n.Probability), Is.All.EqualTo(1));
            Assert.That(Directory.GetFiles(options.Output).Select(Path.GetFileName), Is.EquivalentTo([
                "evaluation.json", "boolq-none.jsonl", "boolq-tokenizer.jsonl", "piqa-none.jsonl", "piqa-tokenizer.jsonl",
            ]));
        }
    }

    // The weights hold an infinite value, which loading finds: what is wrong with the inputs is found before.
    [TestCase("missing.jsonl", null, "missing.jsonl: no such file")]
    [TestCase(null, "missing.txt", "missing.txt: no such file")]
    [TestCase(null, "text.txt:gguf", "at least two chunks of 512")]
    [TestCase(null, null, "model.safetensors")]
    public void Run_BadInputs_AreFoundBeforeTheWeightsAreLoaded(string? task, string? text, string message)
    {
        WriteInputs();
        foreach (string file in Directory.GetFiles(SharedData.Model("tiny-llama"), "*.json"))
            File.Copy(file, _folder.File(Path.GetFileName(file)));
        byte[] weights = File.ReadAllBytes(Path.Combine(SharedData.Model("tiny-llama"), "model.safetensors"));
        (weights[^2], weights[^1]) = (0x80, 0x7F);
        File.WriteAllBytes(_folder.File("model.safetensors"), weights);
        var options = new EvaluationOptions
        {
            Model = _folder.Path,
            Texts = text is null ? [] : [_folder.File(text)],
            Tasks = [task is null ? $"piqa={_folder.File("mine.jsonl")}" : $"piqa={_folder.File(task)}"],
        };
        using IBackend backend = Backends.Create("cpu");
        Assert.That(() => ModelEvaluation.Run(options, backend), Throws.TypeOf<InvalidDataException>().With.Message.Contains(message));
    }

    [Test]
    public void Check_BadOptions_NameTheOption()
    {
        var options = new EvaluationOptions { Model = "m", Texts = ["self:64"] };
        Directory.CreateDirectory(_folder.File("there"));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => (options with { Texts = [] }).Check(), Throws.ArgumentException.With.Message.StartsWith("nothing to measure"));
            Assert.That(() => (options with { Texts = [], Tasks = ["piqa"], Original = "o" }).Check(), Throws.ArgumentException.With.Message.StartsWith("--kl needs a text"));
            Assert.That(() => (options with { BlockLength = 3 }).Check(), Throws.ArgumentException.With.Message.EqualTo("--block 3: expected at least 4"));
            Assert.That(() => (options with { Limit = 0 }).Check(), Throws.ArgumentException.With.Message.EqualTo("--limit 0: expected at least 1"));
            Assert.That(() => (options with { Tasks = ["piqa", "piqa=x"] }).Check(), Throws.ArgumentException.With.Message.StartsWith("--tasks: found piqa twice"));
            Assert.That(() => (options with { BosModes = [BosMode.None, BosMode.None] }).Check(), Throws.ArgumentException.With.Message.StartsWith("--bos"));
            Assert.That(() => (options with { Output = _folder.File("there") }).Check(), Throws.ArgumentException.With.Message.Contains("already there"));
            Assert.That(() => (options with { Texts = ["self:x"] }).Check(), Throws.ArgumentException.With.Message.StartsWith("self:x: expected self:TOKENS"));
            Assert.That(() => (options with { Texts = ["nowhere.raw:rows"] }).Check(), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith("nowhere.raw: no such file"));
            Assert.That(() => options.Check(), Throws.Nothing);
        }
    }

    [Test]
    public void Read_DamagedResult_NamesFileAndLine()
    {
        string path = _folder.File("evaluation.json");
        Assert.That(() => EvaluationResult.Read(_folder.Path), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith($"{path}: not there"));
        File.WriteAllText(path, "{}");
        Assert.That(() => EvaluationResult.Read(_folder.Path), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith($"{path}: no result of this version"));
    }

    private void WriteInputs()
    {
        string sentence = "It was the best of times, it was the worst of times, it was the age of wisdom. ";
        File.WriteAllText(_folder.File("text.txt"), string.Concat(Enumerable.Repeat(sentence, 8)));
        File.WriteAllText(_folder.File("wiki.raw"), $" = One = \n {sentence}\n = Two = \n {sentence}\n");
        var boolq = new StringBuilder();
        var piqa = new StringBuilder();
        for (int i = 0; i < 3; i++)
        {
            boolq.Append($$"""{"passage": "The sea is wide {{i}}.", "question": "is the sea wide", "answer": {{(i == 1 ? "false" : "true")}}}""").Append('\n');
            piqa.Append($$"""{"goal": "Cross the sea {{i}}.", "sol1": "Take a ship.", "sol2": "Take a spoon and a chair.", "label": {{i % 2}}}""").Append('\n');
        }
        File.WriteAllText(_folder.File("boolq.jsonl"), boolq.ToString());
        File.WriteAllText(_folder.File("mine.jsonl"), piqa.ToString());
    }

    private sealed class Recorder(List<string> stages) : IProgress<EvaluationProgress>
    {
        public void Report(EvaluationProgress value) => stages.Add(value.Stage);
    }
}
