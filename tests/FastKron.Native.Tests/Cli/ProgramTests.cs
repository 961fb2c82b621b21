using System.CommandLine;
using FastKron.Native.Cli;
using NUnit.Framework;

namespace FastKron.Native.Tests.Cli;

/// <summary>How the command line is read, without running anything.</summary>
public sealed class ProgramTests
{
    [TestCase("generate m --prompt p --temperature 0,8", "--temperature 0,8: expected a number such as 2.5")]
    [TestCase("generate m --prompt p --temperature nan", "--temperature nan: expected a number such as 2.5")]
    [TestCase("generate m --prompt p --max-tokens 1,000", "--max-tokens 1,000: expected a whole number")]
    [TestCase("generate m --prompt p --seed -1", "--seed -1: expected a whole number, 0 or more")]
    [TestCase("experiment quality --model m --output o --bits 2 x", "--bits x: expected a number such as 2.5")]
    [TestCase("quantize m --bits 2 --output o --block 64", "--block goes with --evaluate TEXT")]
    [TestCase("quantize m --bits 2 --output o --factors-from f --solver power", "--solver says how factors are made; --factors-from takes them as they are, with their tokens: give one of both")]
    public void Parse_BadOption_SaysWhatIsExpected(string line, string message)
        => Assert.That(Program.CreateRoot().Parse(line).Errors.Select(e => e.Message), Is.EqualTo(new[] { message }));

    [Test]
    public void Parse_Numbers_AreReadWithADecimalPoint()
    {
        ParseResult parsed = Program.CreateRoot().Parse("experiment quality --model m --output o --bits 2.5 3");
        Assert.That(parsed.Errors, Is.Empty);
        Assert.That(parsed.GetValue<double[]>("--bits"), Is.EqualTo(new[] { 2.5, 3 }));
        Assert.That(Program.CreateRoot().Parse("quantize m --bits 2.5 --output o").GetValue<int>("--propagate-tokens"), Is.EqualTo(65_536), "a default stays");
    }

    [Test]
    public void Help_OfTheWholeCommand_HasOneLineForEachSubcommand()
    {
        RootCommand root = Program.CreateRoot();
        using var page = new StringWriter();
        root.Parse("--help").Invoke(new InvocationConfiguration { Output = page });
        string[] lines = page.ToString().Split('\n');
        int first = Array.FindIndex(lines, line => line.StartsWith("Commands:", StringComparison.Ordinal)) + 1;
        string[] listed = [.. lines[first..].Select(line => line.Trim()).Where(line => line.Length > 0)];
        Assert.That(listed.Select(line => line.Split(' ')[0]), Is.EqualTo(root.Subcommands.Select(command => command.Name)));
    }
}
