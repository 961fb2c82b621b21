using System.Text.Json;
using NUnit.Framework;

namespace FastKron.Native.Tests.Cli;

public sealed class InspectCommandTests
{
    [Test]
    public void Inspect_DigestOfAFolderWithoutManifest_SaysThatNoFileIsChecked()
    {
        FastkronResult result = FastkronProcess.Run("inspect", SharedData.Model("tiny-llama"), "--digest", "--json", "--device", "cpu");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(JsonDocument.Parse(result.Output).RootElement.GetProperty("digest").GetString(), Has.Length.EqualTo(64));
        Assert.That(result.Error, Does.Contain("no file is checked"));
    }

    [TestCase("gpu")]
    [TestCase("cuda:")]
    [TestCase("cuda:-1")]
    [TestCase("cuda:0@24")]
    [TestCase("cuda:0@0GB")]
    [TestCase("cuda:0@1,5GB")]
    [TestCase("cuda:0@GB")]
    public void Inspect_BadDevice_SaysWhatIsExpected(string device)
    {
        FastkronResult result = FastkronProcess.Run("inspect", SharedData.Model("tiny-llama"), "--digest", "--device", device);
        Assert.That((result.ExitCode, result.Error.Trim()), Is.EqualTo((2, $"fastkron: --device {device}: expected auto, cpu, cuda:N or cuda:N@24GB")));
    }

    [Test]
    public void Inspect_WhatIsNotThere_SaysWhatCanBeGiven()
    {
        FastkronResult result = FastkronProcess.Run("inspect", "/nowhere/at/all");
        Assert.That((result.ExitCode, result.Error.Trim()), Is.EqualTo((1, "fastkron: /nowhere/at/all: not there; give a model folder, a safetensors file or a factor file")));
    }
}
