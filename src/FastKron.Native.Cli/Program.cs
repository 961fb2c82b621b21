using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.Text;
using FastKron.Native.Cuda;

namespace FastKron.Native.Cli;

/// <summary>The fastkron command. Exit codes: 0 done, 1 failed, 2 bad usage, 130 cancelled (and resumable).</summary>
internal static class Program
{
    private const int Failed = 1, BadUsage = 2, Cancelled = 130;

    private static readonly Option<bool> Verbose = new("--verbose") { Description = "print stack traces of failures", Recursive = true };

    private static async Task<int> Main(string[] args)
    {
        Console.OutputEncoding = new UTF8Encoding(false);
        RootCommand root = CreateRoot();
        ParseResult parsed = root.Parse(args is [] ? ["--help"] : args);
        if (parsed.Action is ParseErrorAction)
            return Refuse(parsed);
        using var interruption = new Interruption(Cancelled);
        try
        {
            var configuration = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
            return await parsed.InvokeAsync(configuration, interruption.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            await Console.Error.WriteLineAsync("cancelled; the same command goes on where this one stopped").ConfigureAwait(false);
            return Cancelled;
        }
        catch (Exception e) when (IsExpected(e))
        {
            await Console.Error.WriteLineAsync($"fastkron: {(parsed.GetValue(Verbose) ? e.ToString() : OneLine(Message(e)))}").ConfigureAwait(false);
            return e is ArgumentException ? BadUsage : Failed;
        }
    }

    /// <summary>The command with all its subcommands.</summary>
    internal static RootCommand CreateRoot()
    {
        var root = new RootCommand("FastKron.Native: quantize LLaMA and Qwen-3 models to 2, 3 or 4 bits, measure them, run them.")
        {
            QuantizeCommand.Create(), FactorsCommand.Create(), BatchCommand.Create(), ExperimentCommand.Create(), EvaluateCommand.Create(), CompareCommand.Create(), GenerateCommand.Create(), InspectCommand.Create(), DoctorCommand.Create(), MakeTestModelCommand.Create(), BenchCommand.Create(),
        };
        root.Options.Add(Verbose);
        NumberOptions.Apply(root);
        HelpPage.Apply(root);
        return root;
    }

    // What is wrong and where the help is, on standard error: whoever reads standard output asked for results.
    private static int Refuse(ParseResult parsed)
    {
        foreach (ParseError error in parsed.Errors)
            Console.Error.WriteLine($"fastkron: {OneLine(error.Message)}");
        string command = parsed.CommandResult.Command is RootCommand ? "" : $" {parsed.CommandResult.Command.Name}";
        Console.Error.WriteLine($"fastkron{command} --help tells what can be given");
        return BadUsage;
    }

    // What a user can cause; anything else is our defect and keeps its stack trace.
    private static bool IsExpected(Exception e) => e is InvalidDataException or NotSupportedException or IOException or UnauthorizedAccessException
        or ArgumentException or OutOfMemoryException or ArithmeticException or CudaException or CudaBlasException or CudaSolveException or DllNotFoundException;

    private static string OneLine(string message) => string.Join(' ', message.Split(['\n', '\r', '\t'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));

    private static string Message(Exception e) => e is ArgumentException argument && argument.ParamName is { } name ? argument.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal) : e.Message;
}
