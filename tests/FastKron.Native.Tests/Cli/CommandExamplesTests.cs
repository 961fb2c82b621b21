using System.CommandLine;
using System.CommandLine.Parsing;
using FastKron.Native.Cli;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Cli;

/// <summary>The examples in the help of every command are command lines that the parser takes; those on a model of this repository run.</summary>
public sealed class CommandExamplesTests
{
    private const string Prefix = "  fastkron ", Models = "tests/models/";

    [TestCaseSource(nameof(Commands))]
    public void Help_OfACommand_HasExamplesThatParse(string name)
    {
        RootCommand root = Program.CreateRoot();
        Command command = All(root).Single(c => c.Name == name);
        Assert.That(Examples(command), Is.Not.Empty);
        foreach (string example in Examples(command))
        {
            ParseResult parsed = root.Parse([.. CommandLineParser.SplitCommandLine(example)]);
            Assert.That(parsed.Errors.Select(e => e.Message), Is.Empty, example);
            Assert.That(parsed.CommandResult.Command, Is.SameAs(command), example);
        }
    }

    [TestCaseSource(nameof(Runnable))]
    public void Example_OnAModelOfThisRepository_Runs(string example)
    {
        using var folder = new TemporaryFolder();
        string[] arguments = [.. CommandLineParser.SplitCommandLine(example)];
        for (int i = 0; i < arguments.Length; i++)
        {
            if (arguments[i].StartsWith(Models, StringComparison.Ordinal))
                arguments[i] = SharedData.Model(arguments[i][Models.Length..]);
            else if (i > 0 && arguments[i - 1] == "--output")
                arguments[i] = folder.File(arguments[i]);
        }
        FastkronResult result = FastkronProcess.Run(arguments);
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(result.Output, Is.Not.Empty);
    }

    private static IEnumerable<string> Commands() => All(Program.CreateRoot()).Select(command => command.Name);

    private static IEnumerable<string> Runnable() => All(Program.CreateRoot()).SelectMany(Examples).Where(example => example.Contains(" " + Models, StringComparison.Ordinal));

    private static IEnumerable<Command> All(Command command) => command.Subcommands.SelectMany(sub => All(sub).Prepend(sub));

    private static IEnumerable<string> Examples(Command command) =>
        command.Description!.Split('\n').Where(line => line.StartsWith(Prefix, StringComparison.Ordinal)).Select(line => line[Prefix.Length..]);
}
