using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace FastKron.Native.Cli;

/// <summary>The help of a command, with one line for each of its subcommands: their details and examples are in their own help.</summary>
internal sealed class HelpPage(HelpAction page) : SynchronousCommandLineAction
{
    /// <summary>Puts it in the place of the help of a command and everything below it.</summary>
    public static void Apply(RootCommand root)
    {
        HelpOption help = root.Options.OfType<HelpOption>().Single();
        help.Action = new HelpPage((HelpAction)help.Action!);
    }

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        foreach (Command sub in parseResult.CommandResult.Command.Subcommands)
            sub.Description = sub.Description?.Split('\n')[0];
        return page.Invoke(parseResult);
    }
}
