using FastKron.Native.Experiments;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Experiments;

public sealed class ExperimentSettingsTests
{
    private const string Rows = """[{"name": "none", "method": "none"}, {"name": "ldlq", "method": "activation", "tokens": [70000, 712500, 4096]}]""";

    [Test]
    public void Read_TheProgramsOwn_AreAllValid()
    {
        Assert.That(ExperimentSettings.Known, Is.SupersetOf(new[] { "published", "smollm2" }));
        foreach (string name in ExperimentSettings.Known)
            Assert.That(ExperimentSettings.Read(name).Rows, Is.Not.Empty, name);
    }

    [Test]
    public void Variants_OfARow_AreNamedByTheirTokens()
        => Assert.That(Read($$"""{"title": "t", "text": "self:64", "rows": {{Rows}}}""").Variants.Select(v => v.Name), Is.EqualTo(new[] { "none", "ldlq@70K", "ldlq@712.5K", "ldlq@4096" }));

    [Test]
    public void Variants_RowsWithoutTokens_TakeTheSettingsAndKeepTheirNames()
    {
        ExperimentSettings settings = Read("""{"title": "t", "text": "x", "tokens": 64, "rows": [{"name": "none", "method": "none"}, {"name": "a", "method": "activation"}, {"name": "a", "method": "activation", "tokens": [5]}]}""");
        Assert.That(settings.Variants.Select(v => (v.Name, v.Tokens)), Is.EqualTo(new (string, int?)[] { ("none", null), ("a", 64), ("a@5", 5) }));
    }

    [TestCase("""{"title": "t", "text": "x", "rows": [], "bit": 2}""", "line 1")]
    [TestCase("""{"title": "t", "text": "x", "rows": []}""", "rows: found none")]
    [TestCase("""{"title": "t", "rows": [{"name": "none", "method": "none"}]}""", "text")]
    [TestCase("""{"title": "t", "text": "x", "rows": [{"name": "None", "method": "none"}]}""", "rows[0].name: found 'None'")]
    [TestCase("""{"title": "t", "text": "x", "rows": [{"name": "a", "method": "ldlq"}]}""", "rows[0].methods: found 'ldlq'")]
    [TestCase("""{"title": "t", "text": "x", "rows": [{"name": "a", "method": "activation"}]}""", "rows[0].tokens: found none")]
    [TestCase("""{"title": "t", "text": "x", "rows": [{"name": "a", "method": "none", "tokens": [5]}]}""", "rows[0].tokens: found 5")]
    [TestCase("""{"title": "t", "text": "x", "bits": [5], "rows": [{"name": "a", "method": "none"}]}""", "rows[0].bits: found 5")]
    [TestCase("""{"title": "t", "text": "x", "rows": [{"name": "a", "method": "none"}, {"name": "a", "method": "none"}]}""", "a twice")]
    [TestCase("""{"title": "t", "text": "x", "rivals": ["b"], "rows": [{"name": "a", "method": "none"}]}""", "rivals: found 'b'")]
    [TestCase("""{"title": "t", "text": "x", "claims": [{"text": "c", "line": "a", "against": "b", "at_most": 1}], "rows": [{"name": "a", "method": "none"}]}""", "claims.against: found 'b'")]
    public void Read_Malformed_NamesFileAndPlace(string json, string named)
        => Assert.That(() => Read(json), Throws.TypeOf<InvalidDataException>().With.Message.Contains("settings.json: ").And.Message.Contains(named).And.Message.Not.Contains("\n"));

    [Test]
    public void Read_UnknownName_ListsTheKnownOnes()
        => Assert.That(() => ExperimentSettings.Read("publishd"), Throws.ArgumentException.With.Message.Contains("published").And.Message.Contains("smollm2"));

    private static ExperimentSettings Read(string json)
    {
        using TemporaryFolder folder = new();
        string path = folder.File("settings.json");
        File.WriteAllText(path, json);
        return ExperimentSettings.Read(path);
    }
}
