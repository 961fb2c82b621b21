using System.IO.Compression;
using System.Text;
using FastKron.Native.Evaluation.Tasks;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation.Tasks;

[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "NUnit calls DeleteFolder")]
public sealed class TaskFileTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    // Lines invented for these tests, in the layout of each data set's own files.
    [TestCase("arc_easy", """{"id": "Q1", "question": {"stem": "What is wet?", "choices": [{"text": "sand", "label": "A"}, {"text": "rain", "label": "B"}, {"text": "ash", "label": "C"}]}, "answerKey": "B"}""",
        "Question: What is wet?\nAnswer:", new[] { " sand", " rain", " ash" }, 1, TestName = "Read_ArcEasy")]
    [TestCase("arc_challenge", """{"id": "Q2", "question": {"stem": "Two  spaces &amp;?", "choices": [{"text": "a", "label": "1"}, {"text": "b", "label": "2"}]}, "answerKey": "2"}""",
        "Question: Two  spaces &amp;?\nAnswer:", new[] { " a", " b" }, 1, TestName = "Read_ArcChallengeWithDigits")]
    [TestCase("arc_easy", """{"id": "Q3", "question": "Flat?", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "A"}""",
        "Question: Flat?\nAnswer:", new[] { " x", " y" }, 0, TestName = "Read_ArcAsATable")]
    [TestCase("openbookqa", """{"id": "7-1", "question": {"stem": "Birds build", "choices": [{"text": "nests", "label": "A"}, {"text": "cars", "label": "B"}]}, "answerKey": "A"}""",
        "Birds build", new[] { " nests", " cars" }, 0, TestName = "Read_OpenBookQa")]
    [TestCase("piqa", """{"goal": "Open a jar.", "sol1": "Turn the lid.", "sol2": "Sing to it.", "label": 0}""",
        "Question: Open a jar.\nAnswer:", new[] { " Turn the lid.", " Sing to it." }, 0, TestName = "Read_PiqaWithLabel")]
    [TestCase("boolq", """{"question": "is tea a drink", "title": "Tea", "answer": true, "passage": "Tea is drunk hot."}""",
        "Tea is drunk hot.\nQuestion: is tea a drink?\nAnswer:", new[] { " no", " yes" }, 1, TestName = "Read_BoolQ")]
    [TestCase("boolq", """{"question": "is tea a stone", "passage": "Tea is drunk hot.", "idx": 3, "label": 0}""",
        "Tea is drunk hot.\nQuestion: is tea a stone?\nAnswer:", new[] { " no", " yes" }, 0, TestName = "Read_BoolQOfSuperGlue")]
    [TestCase("hellaswag", """{"ind": 4, "activity_label": "Cooking", "ctx_a": " A MAN cuts [step] bread.", "ctx_b": "he THEN", "endings": ["eats it [title] Enjoy", "sings   loud", "a", "b"], "label": 1}""",
        "Cooking: A MAN cuts bread. He then", new[] { " eats it. Enjoy", " sings  loud", " a", " b" }, 1, TestName = "Read_HellaSwag")]
    public void Read_OriginalLine_GivesThePublishedPrompt(string task, string line, string context, string[] continuations, int gold)
    {
        TaskDocument document = Read(task, line).Documents.Single();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(document.Choices.Select(c => c.Context), Is.All.EqualTo(context));
            Assert.That(document.Choices.Select(c => c.Continuation), Is.EqualTo(continuations));
            Assert.That(document.Gold, Is.EqualTo(gold));
            Assert.That(document.Id, Is.EqualTo($"{task}/0"));
        }
    }

    [Test]
    public void Read_OriginalWinoGrande_PutsTheOptionsIntoTheContext()
    {
        TaskDocument document = Read("winogrande", """{"qID": "x", "sentence": "Ann fed Bea's cat because _ was away .", "option1": "Ann", "option2": "Bea", "answer": "2"}""").Documents.Single();
        Assert.That(document.Choices, Is.EqualTo([
            new TaskChoice("Ann fed Bea's cat because Ann", " was away ."), new TaskChoice("Ann fed Bea's cat because Bea", " was away ."),
        ]));
        Assert.That(document.Gold, Is.EqualTo(1));
    }

    [Test]
    public void Read_OriginalLambada_SplitsAtTheLastSpace()
        => Assert.That(Read("lambada_openai", """{"text": "He called the dog, and\nso came the dog"}""").Documents.Single().Choices,
            Is.EqualTo([new TaskChoice("He called the dog, and\nso came the", " dog")]));

    [Test]
    public void Read_SharedFormat_KeepsTextsAsTheyAre()
    {
        TaskFile choices = Read("piqa", """{"id": "p/5", "type": "mc", "context": "Question: x\u2028y\nAnswer:", "choices": [" a", " b"], "label": 1}""");
        TaskFile contexts = Read("winogrande", """{"id": "w/1", "type": "mc_context", "contexts": ["A b", "A c"], "target": " d.", "label": 0}""");
        TaskFile lastWord = Read("lambada_openai", """{"id": "l/1", "type": "lastword", "context": "Once", "target": " upon"}""");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(choices.Documents.Single().Choices, Is.EqualTo([new TaskChoice("Question: x\u2028y\nAnswer:", " a"), new TaskChoice("Question: x\u2028y\nAnswer:", " b")]));
            Assert.That((choices.Documents.Single().Id, choices.Documents.Single().Gold), Is.EqualTo(("p/5", 1)));
            Assert.That(contexts.Documents.Single().Choices, Is.EqualTo([new TaskChoice("A b", " d."), new TaskChoice("A c", " d.")]));
            Assert.That(lastWord.Documents.Single().Choices, Is.EqualTo([new TaskChoice("Once", " upon")]));
            Assert.That(choices.Split, Is.Null);
            Assert.That(choices.UnknownSplit, Does.Contain("1 documents with labels 0/1").And.Contain("validation 1838, labels 910/928"));
        }
    }

    [Test]
    public void Read_PiqaWithLabelFile_TakesItsLabels()
    {
        string line = """{"goal": "g", "sol1": "s", "sol2": "t"}""";
        File.WriteAllText(_folder.File("valid.jsonl"), $"{line}\n{line}\n");
        File.WriteAllText(_folder.File("valid-labels.lst"), "1\n0\n");
        Assert.That(TaskFile.Read(ZeroShotTasks.Find("piqa"), _folder.File("valid.jsonl")).Documents.Select(d => d.Gold), Is.EqualTo([1, 0]));

        File.WriteAllText(_folder.File("valid-labels.lst"), "1\n0\n1\n");
        Assert.That(() => TaskFile.Read(ZeroShotTasks.Find("piqa"), _folder.File("valid.jsonl")),
            Throws.TypeOf<InvalidDataException>().With.Message.Contains("found 3 labels, expected 2"));
        File.WriteAllText(_folder.File("valid-labels.lst"), "1\nx\n");
        Assert.That(() => TaskFile.Read(ZeroShotTasks.Find("piqa"), _folder.File("valid.jsonl")),
            Throws.TypeOf<InvalidDataException>().With.Message.Contains("valid-labels.lst: line 2: found 'x', expected 0 or 1"));
    }

    [Test]
    public void Find_CompressedFileInAFolder_IsReadWithTheHashOfItsContent()
    {
        byte[] content = Encoding.UTF8.GetBytes("""{"type": "lastword", "context": "a", "target": " b"}""" + "\n");
        using (var gzip = new GZipStream(File.Create(_folder.File("lambada_openai.jsonl.gz")), CompressionLevel.Fastest))
            gzip.Write(content);
        TaskFile file = TaskFile.Find("lambada_openai", _folder.Path);
        Assert.That(file.Hash, Is.EqualTo(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(content))));
        Assert.That(file.Documents.Single().Id, Is.EqualTo("lambada_openai/0"));
    }

    [TestCase("piqa", "{\"goal\": \"g\", \"sol1\": \"s\"}", "line 2: sol2: found nothing, expected a string")]
    [TestCase("piqa", "{\"goal\": \"g\", \"sol1\": \"s\", \"sol2\": \"t\", \"label\": 2}", "line 2: label: found '2', expected a whole number from 0 to 1")]
    [TestCase("piqa", "{\"query\": \"g\", \"choices\": [], \"gold\": 1}", "line 2: found the fields 'query, choices, gold', expected those of piqa (goal, sol1, sol2,")]
    [TestCase("piqa", "{\"goal\": ", "line 2, byte 9: found broken JSON")]
    [TestCase("piqa", "[1]", "line 2: at byte 0: found Array, expected a JSON object")]
    [TestCase("piqa", "{\"type\": \"lastword\", \"context\": \"a\", \"target\": \" b\"}", "line 2: type: found '\"lastword\"', expected \"mc\" for piqa")]
    [TestCase("piqa", "{\"type\": \"mc\", \"context\": \"a\", \"choices\": [\" b\", \" \"], \"label\": 0}", "line 2: found an empty choice 1, expected text")]
    [TestCase("winogrande", "{\"sentence\": \"no gap\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"1\"}", "line 2: sentence: found '\"no gap\"', expected a sentence with a gap _")]
    [TestCase("arc_easy", "{\"question\": {\"stem\": \"s\", \"choices\": [{\"text\": \"a\", \"label\": \"A\"}]}, \"answerKey\": \"E\"}", "line 2: answerKey: found '\"E\"', expected one of 1 choices' labels: A")]
    public void Read_BadLine_NamesPathLineFoundAndExpected(string task, string line, string message)
    {
        string path = _folder.File("bad.jsonl");
        File.WriteAllText(path, "\n" + line + "\n");
        Assert.That(() => TaskFile.Read(ZeroShotTasks.Find(task), path), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith($"{path}: {message}"));
    }

    [Test]
    public void Find_UnknownTaskOrMissingFile_SaysWhatThereIs()
    {
        Assert.That(() => TaskFile.Find("arc", _folder.Path), Throws.ArgumentException.With.Message.Contains("'arc'").And.Message.Contains("arc_easy, arc_challenge"));
        Assert.That(() => TaskFile.Find("piqa", _folder.Path), Throws.TypeOf<InvalidDataException>().With.Message.Contains(_folder.File("piqa.jsonl")).And.Message.Contains("--task-data"));
        Assert.That(() => TaskFile.Find("piqa=nowhere.jsonl", _folder.Path), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith("nowhere.jsonl: no such file"));
        File.WriteAllText(_folder.File("piqa.jsonl"), "\n");
        Assert.That(() => TaskFile.Find("piqa", _folder.Path), Throws.TypeOf<InvalidDataException>().With.Message.Contains("found no document"));
    }

    // Figures of evaluation.md section 9.
    [Test]
    public void Find_DevelopmentFiles_AreKnownByTheirFigures([Values("arc_easy", "arc_challenge", "piqa", "boolq", "hellaswag", "winogrande", "lambada_openai", "openbookqa")] string task)
    {
        TaskFile file = TaskFile.Find(task, SharedData.Path("tasks/dev"));
        Assert.That(file.Split?.Name, Is.EqualTo("dev"), file.UnknownSplit);
    }

    private TaskFile Read(string task, string line)
    {
        string path = _folder.File($"{task}.jsonl");
        File.WriteAllText(path, line + "\n");
        return TaskFile.Read(ZeroShotTasks.Find(task), path);
    }
}
