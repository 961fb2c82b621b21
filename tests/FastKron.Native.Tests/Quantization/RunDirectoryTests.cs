using FastKron.Native.Quantization;
using NUnit.Framework;

namespace FastKron.Native.Tests.Quantization;

public sealed class RunDirectoryTests
{
    private string _path = "";

    private static Dictionary<string, string> Job(string bits) => new() { ["bits"] = bits, ["seed"] = "0" };

    [SetUp]
    public void SetUp() => _path = Path.Combine(Directory.CreateTempSubdirectory("fastkron-run-").FullName, "run");

    [TearDown]
    public void TearDown() => Directory.Delete(Path.GetDirectoryName(_path)!, recursive: true);

    [Test]
    public void Open_AfterFinish_RemembersTheArtefact()
    {
        using (RunDirectory run = RunDirectory.Open(_path, Job("2")))
        {
            File.WriteAllText(run.ArtefactPath("factors/a"), "content");
            run.Finish("factors/a");
            File.WriteAllText(run.ArtefactPath("factors/b"), "not finished");
        }
        using RunDirectory again = RunDirectory.Open(_path, Job("2"));
        Assert.That(again.IsFinished("factors/a"), Is.True);
        Assert.That(again.IsFinished("factors/b"), Is.False);
    }

    [Test]
    public void Open_OtherJobWithFinishedWork_ListsTheDifferences()
    {
        using (RunDirectory run = RunDirectory.Open(_path, Job("2")))
        {
            File.WriteAllText(run.ArtefactPath("a"), "1");
            run.Finish("a");
        }
        Assert.That(RunDirectory.CountFinished(_path), Is.EqualTo(1));
        Assert.That(() => RunDirectory.Open(_path, Job("4")), Throws.TypeOf<InvalidDataException>().With.Message.Contains("bits was 2, is 4").And.Message.Not.Contains("seed"));
    }

    // A run that was refused for a typing error leaves a folder, too.
    [Test]
    public void Open_OtherJobWithNothingFinished_TakesItsPlace()
    {
        RunDirectory.Open(_path, Job("2")).Dispose();
        RunDirectory.Open(_path, Job("4")).Dispose();
        using RunDirectory run = RunDirectory.Open(_path, Job("4"));
        Assert.That(File.ReadAllText(Path.Combine(_path, "job.json")), Does.Contain("\"4\""));
        Assert.That(RunDirectory.CountFinished(_path), Is.Zero);
    }

    [Test]
    public void Open_WhereNoFolderCanBe_NamesPathAndCure()
    {
        string file = Path.Combine(Path.GetDirectoryName(_path)!, "file"), path = Path.Combine(file, "run");
        File.WriteAllText(file, "");
        Assert.That(() => RunDirectory.Open(path, Job("2")), Throws.InstanceOf<IOException>().With.Message.Contains(path).And.Message.Contains("choose a place that can be written"));
    }

    [Test]
    public void Open_TwiceAtOnce_IsRefused()
    {
        using RunDirectory run = RunDirectory.Open(_path, Job("2"));
        Assert.That(() => RunDirectory.Open(_path, Job("2")), Throws.InstanceOf<IOException>().With.Message.Contains("another process"));
    }

    [Test]
    public void Open_TornJournalLine_DropsOnlyThatLine()
    {
        using (RunDirectory run = RunDirectory.Open(_path, Job("2")))
        {
            File.WriteAllText(run.ArtefactPath("a"), "1");
            run.Finish("a");
        }
        File.AppendAllText(Path.Combine(_path, "journal.jsonl"), "{\"artefact\":\"b\",\"sha");
        using (RunDirectory again = RunDirectory.Open(_path, Job("2")))
        {
            Assert.That(again.IsFinished("a"), Is.True);
            File.WriteAllText(again.ArtefactPath("c"), "3");
            again.Finish("c");
        }
        using RunDirectory third = RunDirectory.Open(_path, Job("2"));
        Assert.That(third.IsFinished("c"), Is.True);
        Assert.That(third.FinishedCount, Is.EqualTo(2));
    }

    // As a process leaves it that is killed between publishing and deleting.
    [Test]
    public void Publish_NotDeletedYet_IsSeenByTheNextProcess()
    {
        string output = Path.Combine(Path.GetDirectoryName(_path)!, "parent", "output");
        using (RunDirectory run = RunDirectory.Open(_path, Job("2")))
        {
            File.WriteAllText(run.ArtefactPath("made/a"), "1");
            Assert.That(run.IsPublished(output), Is.False);
            run.Publish(Path.Combine(_path, "made"), output);
        }
        using RunDirectory again = RunDirectory.Open(_path, Job("2"));
        Assert.That(again.IsPublished(output), Is.True);
        Assert.That(File.ReadAllText(Path.Combine(output, "a")), Is.EqualTo("1"));
        Directory.Delete(output, recursive: true);
        Assert.That(again.IsPublished(output), Is.False, "somebody took it away");
    }

    [Test]
    public void IsFinished_ArtefactChangedFromOutside_IsRefused()
    {
        using RunDirectory run = RunDirectory.Open(_path, Job("2"));
        string path = run.ArtefactPath("a");
        File.WriteAllText(path, "1");
        run.Finish("a");
        File.WriteAllText(path, "2");
        Assert.That(() => run.IsFinished("a"), Throws.TypeOf<InvalidDataException>().With.Message.Contains(path));
    }
}
