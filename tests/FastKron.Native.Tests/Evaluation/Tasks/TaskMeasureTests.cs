using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Evaluation;
using FastKron.Native.Evaluation.Tasks;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Models;
using FastKron.Native.Tokenizers;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation.Tasks;

/// <summary>Models whose results are known: an oracle, one that says nothing, one that guesses.</summary>
public sealed class TaskMeasureTests
{
    private static readonly Lazy<Tokenizer> TinyLlama = new(() => Tokenizer.Load(SharedData.Model("tiny-llama")));

    private static readonly ModelConfig Config = RandomModel.Config(ModelFamily.Llama, layers: 1) with { VocabularySize = 2048, MaxPositions = 512 };

    [TestCase("piqa", null)]
    [TestCase("boolq", null)]
    [TestCase("winogrande", null)]
    [TestCase("lambada_openai", 1.0)]
    public void Run_Oracle_ScoresOne(string task, double? perplexity)
    {
        TaskFile file = Invented(task, documents: 40);
        ChoiceEncoder encoder = Encoder();
        HashSet<string> gold = [.. file.Documents.Select(d => Key(encoder.Encode(d.Choices[d.Gold], out _)))];
        (TaskReport report, IReadOnlyList<TaskRow> rows) = new TaskMeasure(file, encoder).Run((groups, greedy, _, _) =>
            [.. groups.Select(g => g.Select(s => gold.Contains(Key(s)) ? new SequenceScore(0, greedy) : new SequenceScore(-1, false)).ToArray())]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That((report.Acc, report.AccError), Is.EqualTo((1.0, 0.0)));
            Assert.That(report.AccNorm, Is.EqualTo(task == "piqa" ? 1.0 : null), "boolq, winogrande and lambada have no acc_norm");
            Assert.That(report.Perplexity, Is.EqualTo(perplexity));
            Assert.That(rows.Select(r => r.Gold), Is.EqualTo(file.Documents.Select(d => d.Gold)));
            Assert.That((report.Documents, report.TruncatedDocuments, report.BosMode, report.Task), Is.EqualTo((40, 0, "none", task)));
        }
    }

    // All logits 0: a choice of t tokens has −t·ln 2048, so acc takes the first of the fewest tokens and acc_norm the first of the fewest tokens per character.
    [TestCase("arc_easy")]
    [TestCase("winogrande")]
    public void Run_ConstantLogits_GivesWhatTheTokenCountsSay(string task)
    {
        TaskFile file = TaskFile.Find(task, SharedData.Path("tasks/dev"));
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, Config, headDeviation: 0);
        (TaskReport report, IReadOnlyList<TaskRow> rows) = new TaskMeasure(file, Encoder(), limit: 100).Run(new SequenceScorer(model).Score);
        int acc = 0, accNorm = 0;
        using (Assert.EnterMultipleScope())
        {
            foreach ((TaskDocument document, TaskRow row) in file.Documents.Zip(rows))
            {
                double[] tokens = [.. document.Choices.Select(c => (double)Tokens(c.Context + c.Continuation) - Tokens(c.Context))];
                double[] perCharacter = [.. document.Choices.Zip(tokens, (c, t) => t / c.Continuation[1..].EnumerateRunes().Count())];
                acc += Array.IndexOf(tokens, tokens.Min()) == document.Gold ? 1 : 0;
                accNorm += Array.IndexOf(perCharacter, perCharacter.Min()) == document.Gold ? 1 : 0;
                Assert.That(row.LogLikelihoods, Is.EqualTo(tokens.Select(t => -t * Math.Log(2048))).Within(1e-4));   // float32 logarithm of 2048, times up to 40
            }
            Assert.That(report.Acc, Is.EqualTo(acc / 100.0));
            Assert.That(report.AccNorm, Is.EqualTo(task == "arc_easy" ? accNorm / 100.0 : null));
        }
    }

    // The right choice is drawn uniformly, so any model that knows nothing of it is right with probability ½ in each of 400 documents.
    [Test]
    public void Run_RandomWeights_GuessesWithinThreeStandardErrors()
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, Config);
        TaskReport report = new TaskMeasure(Invented("piqa", documents: 400), Encoder()).Run(new SequenceScorer(model).Score).Report;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(report.AccError, Is.EqualTo(0.025).Within(0.001), "√(¼/400)");
            Assert.That(report.Acc, Is.EqualTo(0.5).Within(3 * report.AccError));
            Assert.That(report.AccNorm, Is.EqualTo(0.5).Within(3 * report.AccNormError!.Value));
        }
    }

    [Test]
    public void Run_OtherOrderOrBatches_GivesTheSamePredictions()
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, Config);
        TaskFile file = Invented("piqa", documents: 30);
        IReadOnlyList<TaskRow> rows = new TaskMeasure(file, Encoder()).Run(new SequenceScorer(model).Score).Rows;
        IReadOnlyList<TaskRow> reversed = new TaskMeasure(file with { Documents = [.. file.Documents.Reverse()] }, Encoder()).Run(new SequenceScorer(model, batchTokens: 50).Score).Rows;
        Assert.That(reversed.Reverse().Select(r => (r.Id, r.Prediction, r.Acc, r.AccNorm)), Is.EqualTo(rows.Select(r => (r.Id, r.Prediction, r.Acc, r.AccNorm))));
    }

    [Test]
    public void Run_EqualScores_TakesTheFirst()
    {
        TaskFile file = Invented("boolq", documents: 3);
        IReadOnlyList<TaskRow> rows = new TaskMeasure(file, Encoder()).Run((groups, _, _, _) => [.. groups.Select(g => g.Select(_ => new SequenceScore(double.NegativeInfinity, false)).ToArray())]).Rows;
        Assert.That(rows.Select(r => r.Prediction), Is.All.Zero, "−∞ is legal");
    }

    [Test]
    public void Run_NotANumber_AbortsWithTaskDocumentAndChoice()
    {
        var measure = new TaskMeasure(Invented("piqa", documents: 3), Encoder());
        Assert.That(() => measure.Run((groups, _, _, _) => [.. groups.Select((g, d) => g.Select((_, c) => new SequenceScore(d == 1 && c == 1 ? double.NaN : -1, false)).ToArray())]),
            Throws.TypeOf<ArithmeticException>().With.Message.StartsWith("piqa: document 1 (piqa/1), choice 1:"));
    }

    [Test]
    public void Constructor_ChoiceThatDoesNotFit_NamesFileAndDocument()
        => Assert.That(() => new TaskMeasure(Invented("piqa", documents: 2), new ChoiceEncoder(TinyLlama.Value, BosMode.None, 0, maxPositions: 1)),
            Throws.TypeOf<InvalidDataException>().With.Message.Match(@"^invented\.jsonl: document 0 \(piqa/0\): a continuation of \d+ tokens exceeds the model's context of 1; "));

    [Test]
    public void Run_Rows_HoldLengthsOfTheBareChoice()
    {
        var document = new TaskDocument("d", [new TaskChoice("Question: x\nAnswer:", " né𝄞"), new TaskChoice("Question: x\nAnswer:", " ab")], 1);
        var file = new TaskFile(ZeroShotTasks.Find("piqa"), "invented.jsonl", "", [document], null);
        TaskRow row = new TaskMeasure(file, Encoder()).Run((_, _, _, _) => [[new(-2.9, false), new(-2, false)]]).Rows.Single();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(row.Characters, Is.EqualTo([3, 2]), "code points");
            Assert.That(row.Bytes, Is.EqualTo([7, 2]));
            Assert.That((row.Prediction, row.Acc, row.AccNorm), Is.EqualTo((1, 1, 0)), "−2.9/3 is above −2/2");
        }
    }

    private static ChoiceEncoder Encoder() => new(TinyLlama.Value, BosMode.None, startToken: 0, maxPositions: 512);

    private static int Tokens(string text) => TinyLlama.Value.Encode(text, addSpecialTokens: false).Length;

    private static string Key(ScoredSequence s) => $"{string.Join(' ', s.Input)} > {string.Join(' ', s.Targets)}";

    // Documents of drawn words, no two alike; the right choice is drawn too.
    private static TaskFile Invented(string name, int documents)
    {
        string[] words = ["river", "stone", "green", "walked", "seven", "letter", "window", "quiet", "morning", "friend", "captain", "bread"];
        TaskDefinition task = ZeroShotTasks.Find(name);
        ulong next = 0;
        uint Draw(int count) => Philox.Word(seed: 5, next++, RandomPurpose.Test, item: 0) % (uint)count;
        string Words(int count) => string.Join(' ', Enumerable.Range(0, count).Select(_ => words[Draw(words.Length)]));
        TaskDocument Document(int d)
        {
            string context = $"{d} {Words(6)}", target = " " + Words(2);
            int gold = task.Kind == TaskKind.LastWord ? 0 : (int)Draw(2);
            return new TaskDocument($"{name}/{d}", task.Kind switch
            {
                TaskKind.LastWord => [new TaskChoice(context, target)],
                TaskKind.Contexts => [new TaskChoice(context + " he", target), new TaskChoice(context + " she", target)],
                _ => [new TaskChoice(context, $" {Words(2)} one"), new TaskChoice(context, $" {Words(2)} two")],
            }, gold);
        }
        return new TaskFile(task, "invented.jsonl", "", [.. Enumerable.Range(0, documents).Select(Document)], null);
    }
}
