using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Cli;

public sealed class EvaluateCommandTests
{
    [Test]
    public void Evaluate_Task_LeavesAResultThatCompareReads()
    {
        using var folder = new TemporaryFolder();
        string result = folder.File("run"), tasks = folder.File("boolq.jsonl");
        File.WriteAllText(tasks, """{"passage": "The sea is wide.", "question": "is the sea wide", "answer": true}""" + "\n");
        FastkronResult measured = FastkronProcess.Run("evaluate", SharedData.Model("tiny-llama"), "--device", "cpu", "--tasks", "boolq", "--task-data", folder.Path, "--output", result);
        Assert.That(measured.ExitCode, Is.Zero, measured.Error);
        FastkronResult compared = FastkronProcess.Run("compare", result, result, "--output", folder.File("c.md"), folder.File("c.html"), folder.File("c.svg"), folder.File("c.json"));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(measured.Output, Does.Contain("boolq").And.Contain("unknown"));
            Assert.That(measured.Error, Does.Contain("which is no set of boolq known here"));
            Assert.That(compared.ExitCode, Is.Zero, compared.Error);
            Assert.That(compared.Output, Does.Contain("run (1)").And.Contain("run (2)").And.Contain("boolq, unknown set, BOS none"));
            Assert.That(Directory.GetFiles(folder.Path, "c.*").Select(f => new FileInfo(f).Length), Is.All.Positive.And.Exactly(4).Items);
        }
    }

    [Test]
    public void Evaluate_BadOption_IsUsageErrorBeforeAnythingIsOpened()
    {
        FastkronResult result = FastkronProcess.Run("evaluate", "nowhere", "--device", "cpu", "--tasks", "piqa", "--limit", "0");
        Assert.That((result.ExitCode, result.Error.Trim()), Is.EqualTo((2, "fastkron: --limit 0: expected at least 1")));
    }
}
