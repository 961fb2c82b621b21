using FastKron.Native.Evaluation;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation;

public sealed class PythonRandomTests
{
    // Figures of evaluation.md section 4: Python's random.seed(0).
    [Test]
    public void Next_SeedZero_GivesPythonsWords()
    {
        var random = new PythonRandom(0);
        Assert.That(Enumerable.Range(0, 4).Select(_ => random.Next()), Is.EqualTo([3626764237u, 1654615998u, 3255389356u, 3823568514u]));
    }

    [Test]
    public void Between_SeedZero_GivesPythonsDocuments()
    {
        var random = new PythonRandom(0);
        Assert.That(Enumerable.Range(0, 6).Select(_ => random.Between(0, 45575)), Is.EqualTo([25247, 27562, 2653, 16968, 33506, 31845]));
    }

    [Test]
    public void Between_OneValue_GivesIt() => Assert.That(new PythonRandom(0).Between(7, 7), Is.EqualTo(7));
}
