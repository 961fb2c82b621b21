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

    [Test]
    public void Inspect_WhatIsNotThere_SaysWhatCanBeGiven()
    {
        FastkronResult result = FastkronProcess.Run("inspect", "/nowhere/at/all");
        Assert.That((result.ExitCode, result.Error.Trim()), Is.EqualTo((1, "fastkron: /nowhere/at/all: not there; give a model folder, a safetensors file or a factor file")));
    }
}
