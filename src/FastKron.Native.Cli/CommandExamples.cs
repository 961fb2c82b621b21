using System.CommandLine;

namespace FastKron.Native.Cli;

/// <summary>Examples in the help of commands. Each is a line that begins with <c>fastkron</c>; tests parse all of them, and run those on the models of this repository.</summary>
internal static class CommandExamples
{
    /// <summary>Appends examples to a command's description.</summary>
    /// <param name="command">The command.</param>
    /// <param name="examples">Whole command lines.</param>
    public static Command WithExamples(this Command command, params string[] examples)
    {
        command.Description = $"{command.Description!.TrimEnd()}\n\nExamples:\n{string.Join('\n', examples.Select(example => "  " + example))}";
        return command;
    }
}
