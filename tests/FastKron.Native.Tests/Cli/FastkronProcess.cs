using System.Diagnostics;

namespace FastKron.Native.Tests.Cli;

/// <summary>Runs the fastkron command in a process of its own.</summary>
internal sealed class FastkronProcess : IDisposable
{
    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(5);

    private readonly Process _process;
    private readonly Task<string> _output, _error;

    private FastkronProcess(Process process) => (_process, _output, _error) = (process, process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    public static FastkronProcess Start(params string[] arguments)
    {
        string program = Environment.ProcessPath!;
        bool shared = Path.GetFileNameWithoutExtension(program) == "dotnet";
        // A shell starts a background command with Ctrl-C ignored, and so would be everything below it, these tests included.
        var start = new ProcessStartInfo("env", ["--default-signal=INT", shared ? program : Path.Combine(AppContext.BaseDirectory, "fastkron")]) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (shared)
            start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "fastkron.dll"));
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        return new FastkronProcess(Process.Start(start)!);
    }

    /// <summary>Runs to the end.</summary>
    public static FastkronResult Run(params string[] arguments)
    {
        using FastkronProcess process = Start(arguments);
        return process.Wait();
    }

    public FastkronResult Wait()
    {
        if (!_process.WaitForExit(Timeout))
        {
            Kill();
            throw new TimeoutException($"fastkron did not end in {Timeout}");
        }
        return new FastkronResult(_process.ExitCode, _output.Result, _error.Result);
    }

    /// <summary>Ends it at once, as a power cut would (its own child process too).</summary>
    public void Kill()
    {
        _process.Kill(entireProcessTree: true);
        _process.WaitForExit();
    }

    /// <summary>What Ctrl-C in a terminal sends.</summary>
    public void Interrupt() => Process.Start("kill", ["-INT", $"{Id}"]).WaitForExit();

    public void Dispose() => _process.Dispose();
}

/// <summary>How a command ended.</summary>
internal sealed record FastkronResult(int ExitCode, string Output, string Error);
