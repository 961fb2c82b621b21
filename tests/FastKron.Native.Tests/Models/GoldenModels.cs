using System.Diagnostics;
using NUnit.Framework;

namespace FastKron.Native.Tests.Models;

/// <summary>The model folders with goldens of other implementations.</summary>
internal static class GoldenModels
{
    private static readonly Lock UnpackLock = new();

    public static IReadOnlyList<string> Names { get; } =
        ["tiny-llama", "tiny-qwen3", "stories260K_hf", "tiny_random_llama2", "tiny_llama3_mlxd", "tiny_qwen3_mlxd", "smollm2-135m"];

    /// <summary>The folder with config.json and weights; skips the test where it is absent.</summary>
    public static string Folder(string name) => name switch
    {
        "tiny-llama" or "tiny-qwen3" => SharedData.Model(name),
        "smollm2-135m" => Unpack(SharedData.Path("models/smollm2-135m")),
        _ => SharedData.Path($"models/{name}"),
    };

    /// <summary>A golden file beside the stored model.</summary>
    public static string Golden(string name, string file) =>
        name is "tiny-llama" or "tiny-qwen3" ? Path.Combine(SharedData.Model(name), file) : SharedData.Path($"models/{name}/{file}");

    // SmolLM2 is kept as a 4-bit file; its own script writes the bf16 folder (25 s, once for a machine) and checks its hash.
    private static string Unpack(string source)
    {
        lock (UnpackLock)
        {
            string folder = Path.Combine(Path.GetTempPath(), "fastkron-tests", "smollm2-135m");
            if (Directory.Exists(folder))
                return folder;
            string unfinished = $"{folder}-{Environment.ProcessId}";
            Directory.CreateDirectory(unfinished);
            try
            {
                using Process process = Start(Path.Combine(source, "unpack.py"), unfinished);
                string errors = process.StandardError.ReadToEnd();
                process.WaitForExit();
                Assert.That(process.ExitCode, Is.Zero, errors);
                if (!Directory.Exists(folder))
                    Directory.Move(unfinished, folder);
            }
            finally
            {
                if (Directory.Exists(unfinished))
                    Directory.Delete(unfinished, recursive: true);
            }
            return folder;
        }
    }

    private static Process Start(string script, string destination)
    {
        try
        {
            return Process.Start(new ProcessStartInfo("python3", [script, destination]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Ignore($"{script}: python3 is not installed, so the model cannot be unpacked");
            throw;
        }
    }
}
