using FastKron.Native.Batch;
using FastKron.Native.Compute;
using FastKron.Native.Quantization;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Batch;

public sealed class BatchFileTests
{
    [Test]
    public void Read_EntriesWithLists_ExpandsInOrder()
    {
        BatchFile file = Read("""{"output": "out", "jobs": [{"model": "models/a/", "methods": ["none", "likelihood"], "bits": [2, 4]}, {"model": "models/b", "name": "c", "seed": 7}]}""");
        Assert.That(file.Expand().Select(job => job.Name), Is.EqualTo(new[] { "a-none-2bit", "a-none-4bit", "a-likelihood-2bit", "a-likelihood-4bit", "c-likelihood-2bit" }));
        Assert.That(file.Expand()[^1].Output, Is.EqualTo(Path.Combine("out", "c-likelihood-2bit")));
        Assert.That((file.Jobs[1].Seed, file.Jobs[1].Tokens, file.Jobs[1].Gradients), Is.EqualTo((7UL, 712_500, 75)));
    }

    [Test]
    public void Read_RotationSeeds_GiveAJobEach()
    {
        BatchFile file = Read("""{"output": "out", "jobs": [{"model": "a", "bits": [2, 3], "rotation_seeds": [4, 9], "measure_only": true, "evaluate": "self:64"}]}""");
        Assert.That(file.Expand().Select(job => (job.Name, job.Seed)), Is.EqualTo(new[]
        {
            ("a-likelihood-2bit-seed4", 4UL), ("a-likelihood-2bit-seed9", 9UL), ("a-likelihood-3bit-seed4", 4UL), ("a-likelihood-3bit-seed9", 9UL),
        }));
        Assert.That(file.Expand()[0].Output, Is.EqualTo(Path.Combine("out", "a-likelihood-2bit-seed4.json")));
    }

    [Test]
    public void Options_Overrides_ReplaceWhatTheRoundingHas()
    {
        BatchJob job = Read("""{"output": "out", "jobs": [{"model": "a", "rounding": "published", "options": {"code": "1mad", "relative_scale": 1, "fit_scales": true, "damping_in": 0.1, "window": 64}}]}""").Expand()[0];
        QuantizationOptions options = job.Options(factors: null, warn: null), published = new QuantizationOptions { Model = "a", Output = "b" }.RoundedAsPublished();
        LinearQuantizerOptions linear = options.LinearSettings(bits: 2);
        Assert.That((linear.Codebook.Name, linear.RelativeScale, linear.Equalize, linear.FitScales), Is.EqualTo(("1mad", 1.0, false, true)));
        Assert.That((linear.DampingOut, linear.DampingIn, linear.Window), Is.EqualTo((published.DampingOut, 0.1, TailBitingWindow.Half)));
        Assert.That(job.Settings()["options"], Is.EqualTo("code 1mad, fit_scales yes, relative_scale 1, damping_in 0.1, window 64"));
    }

    [TestCase("{\n\"output\": \"o\",\n\"jobs\": [{\"model\": \"m\",\n\"bitz\": [2]}]}", "line 4")]
    [TestCase("{\n\"output\": \"o\", \"job\": []}", "line 2")]
    [TestCase("{\"output\": \"o\"}", "jobs")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"bits\": [2]}]}", "model")]
    [TestCase("{\"output\": \"o\", \"jobs\": []}", "jobs: found none")]
    [TestCase("{\"output\": \"o\", \"jobs\": [null]}", "jobs[0]")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"bits\": [2, 5]}]}", "jobs[0].bits: found 5")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"bits\": []}]}", "jobs[0].bits: found none")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"bits\": [\"2\"]}]}", "line 1")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"methods\": [\"ldlq\"]}]}", "jobs[0].methods: found 'ldlq'")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"format\": \"gguf\"}]}", "jobs[0].format: found 'gguf'")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"tokens\": 0}]}", "jobs[0].tokens: found 0")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"name\": \"a/b\"}]}", "jobs[0].name: found 'a/b'")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"x/m\"}, {\"model\": \"y/m\"}]}", "m-likelihood-2bit twice")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"measure_only\": true}]}", "jobs[0].evaluate: found none")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"tasks\": [\"piqa\"]}]}", "jobs[0].evaluate: found none")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"methods\": [\"lanczos\", \"none\"], \"half_steps\": 4}]}", "jobs[0].half_steps: found 4, expected none with lanczos, none")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"rounding\": \"best\"}]}", "jobs[0].rounding: found 'best'")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"options\": {\"code\": \"2mad\"}}]}", "jobs[0].options.code: found '2mad'")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"options\": {\"window\": 130}}]}", "jobs[0].options.window: found 130")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"options\": {\"damping_in\": 0}}]}", "jobs[0].options.damping_in: found 0")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"rotation_seeds\": []}]}", "jobs[0].rotation_seeds: found none")]
    [TestCase("{\"output\": \"o\", \"jobs\": [{\"model\": \"m\", \"methods\": [\"original\"], \"bits\": [16], \"evaluate\": \"self:64\"}]}", "jobs[0].methods: found original")]
    [TestCase("{\"output\": \"o\", \"output\": \"o\", \"jobs\": []}", "line 1")]
    [TestCase("{", "line 1")]
    [TestCase("[]", "line 1")]
    [TestCase("null", "null")]
    public void Read_Malformed_NamesFileAndPlace(string json, string named)
    {
        using TemporaryFolder folder = new();
        string path = folder.File("jobs.json");
        File.WriteAllText(path, json);
        Assert.That(() => BatchFile.Read(path), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(path).And.Message.Contains(named).And.Message.Not.Contains("\n"));
    }

    private static BatchFile Read(string json)
    {
        using TemporaryFolder folder = new();
        string path = folder.File("jobs.json");
        File.WriteAllText(path, json);
        return BatchFile.Read(path);
    }
}
