using System.Diagnostics;

namespace FastKron.Native.Cli;

/// <summary>Reads a finished folder back in a process of its own, so that nothing the writer still holds can hide an error.</summary>
internal static class FreshProcess
{
    /// <summary>Runs <c>fastkron inspect FOLDER --digest</c> on a device and gives the digest it prints.</summary>
    /// <remarks>The task fails with <see cref="InvalidDataException"/> where the fresh process could not read the folder.</remarks>
    public static Func<string, CancellationToken, Task<string>> Digest(string device) => (folder, cancellationToken) => DigestAsync(folder, device, cancellationToken);

    private static async Task<string> DigestAsync(string folder, string device, CancellationToken cancellationToken)
    {
        string program = Environment.ProcessPath!;
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (Path.GetFileNameWithoutExtension(program) is "dotnet")
            start.ArgumentList.Add(Environment.GetCommandLineArgs()[0]);
        foreach (string argument in new[] { "inspect", folder, "--digest", "--device", device })
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
