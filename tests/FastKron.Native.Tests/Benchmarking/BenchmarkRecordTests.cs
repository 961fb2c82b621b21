using FastKron.Native.Benchmarking;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Benchmarking;

public sealed class BenchmarkRecordTests
{
    [Test]
    public void Merge_FileWithOthers_ReplacesTheSameSuiteAndCaseAlone()
    {
        using TemporaryFolder folder = new();
        string path = folder.File("results.jsonl");
        BenchmarkRecord.Merge(path, [Record("quality", "a", 1), Record("quality", "b", 2), Record("tasks", "a", 3)]);
        BenchmarkRecord.Merge(path, [Record("quality", "a", 4)]);
        Assert.That(BenchmarkRecord.Read(path).Select(r => (r.Suite, r.Case, r.Value)), Is.EquivalentTo(new[] { ("quality", "b", 2.0), ("tasks", "a", 3.0), ("quality", "a", 4.0) }));
        BenchmarkRecord.Replace(path, [Record("quality", "c", 5)]);
        Assert.That(BenchmarkRecord.Read(path).Select(r => (r.Suite, r.Case)), Is.EquivalentTo(new[] { ("tasks", "a"), ("quality", "c") }), "a whole suite");
    }

    private static BenchmarkRecord Record(string suite, string name, double value) => new() { Suite = suite, Case = name, Value = value, Unit = "kl", Machine = "any", Command = "none" };
}
