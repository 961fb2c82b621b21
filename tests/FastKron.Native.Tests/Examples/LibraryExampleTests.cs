using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Reports;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Examples;

/// <summary>The guide for users of the library says what compiles and runs.</summary>
public sealed partial class LibraryExampleTests
{
    [Test]
    public void Guide_Snippets_AreTheTextOfTheExample()
    {
        string guide = SharedData.TestFile("../src/FastKron.Native/README.md");
        if (!File.Exists(guide))
            Assert.Ignore($"{guide}: no source tree here");
        Dictionary<string, string> example = Snippets(File.ReadAllText(SourcePath()));
        Dictionary<string, string> shown = GuideSnippet().Matches(File.ReadAllText(guide)).ToDictionary(m => m.Groups["name"].Value, m => m.Groups["code"].Value);
        Assert.That(shown, Is.EqualTo(example));
    }

    [Test]
    public async Task Example_OnAGeneratedModel_Runs()
    {
        using var folder = new TemporaryFolder();
        using IBackend backend = new CpuBackend();
        string model = GeneratedModel.WriteWithTokenizer(folder.File("model")), output = folder.File("quantized");
        QuantizationReport report = await LibraryExample.QuantizeAsync(model, output, backend, CancellationToken.None);
        Assert.That(report.Size.StoredBits, Is.GreaterThan(2));
        List<double> divergences = LibraryExample.Compare(model, folder.File("factors"), backend);
        Assert.That(divergences, Is.Ordered.Descending, "more bits, less divergence");
        Assert.That(divergences[0], Is.EqualTo(report.Evaluation!.Texts[0].Divergence!.Mean), "trials give the numbers of a run");
        Assert.That(LibraryExample.Continue(output, "The old man", backend), Is.Not.Empty);
        Assert.That(await LibraryExample.FailAsync(backend), Is.NaN);
        using IBackend best = LibraryExample.OpenBackend();
        Assert.That(best.Name, Is.Not.Empty);
    }

    private static Dictionary<string, string> Snippets(string source) => SourceSnippet().Matches(source).ToDictionary(
        m => m.Groups["name"].Value,
        m => string.Concat(m.Groups["code"].Value.Split('\n').SkipLast(1).Select(line => (line.StartsWith(m.Groups["indent"].Value, StringComparison.Ordinal) ? line[m.Groups["indent"].Length..] : line) + "\n")));

    private static string SourcePath([CallerFilePath] string path = "") => Path.Combine(Path.GetDirectoryName(path)!, "LibraryExample.cs");

    [GeneratedRegex(@"^(?<indent> *)// snippet: (?<name>\w+)\n(?<code>.*?)^ *// end$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex SourceSnippet();

    [GeneratedRegex(@"<!-- snippet: (?<name>\w+) -->\n```csharp\n(?<code>.*?)```", RegexOptions.Singleline)]
    private static partial Regex GuideSnippet();
}
