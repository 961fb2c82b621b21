using System.Diagnostics;

namespace FastKron.Native.Cli;

/// <summary>Reads a finished folder back in a process of its own, so that nothing the writer still holds can hide an error.</summary>
internal static class FreshProcess
{
    /// <summary>Runs <c>fastkron inspect FOLDER --digest</c> and gives the digest it prints.</summary>
    /// <exception cref="InvalidDataException">The fresh process could not read the folder.</exception>
    public static async Task<string> DigestAsync(string folder, CancellationToken cancellationToken)
    {
        string program = Environment.ProcessPath!;
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (Path.GetFileNameWithoutExtension(program) is "dotnet")
            start.ArgumentList.Add(Environment.GetCommandLineArgs()[0]);
        foreach (string argument in new[] { "inspect", folder, "--digest" })
            start.ArgumentList.Add(argument);
        using Process process = Process.Start(start)!;
        try
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken), error = process.StandardError.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken).ConfigureAwait(false);
            string digest = (await output.ConfigureAwait(false)).Trim();
            return process.ExitCode == 0 ? digest : throw new InvalidDataException($"{folder}: a fresh process could not read it back: {(await error.ConfigureAwait(false)).Trim()}");
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }
}
