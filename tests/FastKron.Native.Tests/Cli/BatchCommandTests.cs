using System.Text.Json.Nodes;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Cli;

public sealed class BatchCommandTests
{
    [Test]
    public void Batch_OneGoodAndOneBadJob_SaysWhichAndExitsWith1()
    {
        using TemporaryFolder folder = new();
        string jobs = Write(folder, """{"model": "MODEL", "methods": ["none"]}, {"model": "MODEL-gone", "methods": ["none"]}""");
        FastkronResult result = FastkronProcess.Run("batch", jobs, "--device", "cpu");
        Assert.That(result.ExitCode, Is.EqualTo(1));
        Assert.That(result.Output, Does.Match(@"model-none-2bit +\| +done").And.Match(@"model-gone-none-2bit +\| +failed"));
        Assert.That(result.Error, Does.Contain("failed: model-gone-none-2bit: ").And.Contain("model-gone: no such folder").And.Not.Contain("   at "));

        FastkronResult json = FastkronProcess.Run("batch", jobs, "--json", "--device", "cpu");
        JsonArray results = JsonNode.Parse(json.Output)!.AsArray();
        Assert.That(results.Select(r => (string)r!["state"]!), Is.EqualTo(new[] { "Finished", "Failed" }));
        Assert.That((double)results[0]!["stored_bits"]!, Is.GreaterThan(2));
    }

    [Test]
    public void Batch_Plan_PrintsCostsAndWritesNothing()
    {
        using TemporaryFolder folder = new();
        string jobs = Write(folder, """{"model": "MODEL", "methods": ["likelihood"], "bits": [2, 3], "tokens": 512, "gradients": 4}""");
        FastkronResult result = FastkronProcess.Run("batch", jobs, "--plan", "--device", "cpu");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(result.Output, Does.Contain("factors/model-likelihood-").And.Contain("model-likelihood-2bit").And.Contain("model-likelihood-3bit").And.Contain("disk, GB"));
        Assert.That(Directory.Exists(folder.File("results")), Is.False);
    }

    [Test]
    public void Batch_UnknownField_NamesItsLine()
    {
        using TemporaryFolder folder = new();
        FastkronResult result = FastkronProcess.Run("batch", Write(folder, "{\n\"model\": \"MODEL\",\n\"bit\": 2}"));
        Assert.That(result.ExitCode, Is.EqualTo(1));
        Assert.That(result.Error, Does.Contain("jobs.json: line 3").And.Contain("bit"));
    }

    private static string Write(TemporaryFolder folder, string jobs)
    {
        string model = GeneratedModel.Write(folder.File("model")), path = folder.File("jobs.json");
        File.WriteAllText(path, $$"""{"output": "{{folder.File("results")}}", "jobs": [{{jobs.Replace("MODEL", model, StringComparison.Ordinal)}}]}""");
        return path;
    }
}
