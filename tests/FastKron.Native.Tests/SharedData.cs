using System.Runtime.CompilerServices;
using NUnit.Framework;

namespace FastKron.Native.Tests;

/// <summary>Finds test data: the models in this repository, and the shared folder named by FASTKRON_SHARED (default ../shared beside the repository).</summary>
internal static class SharedData
{
    private static readonly string Root = FindRoot();

    /// <summary>A model folder under tests/models.</summary>
    public static string Model(string name) => System.IO.Path.Combine(Root, "tests", "models", name);

    /// <summary>A file of this repository under tests/.</summary>
    public static string TestFile(string relative) => System.IO.Path.Combine(Root, "tests", relative);

    /// <summary>A path in the shared folder; skips the test where it is absent, fails where FASTKRON_REQUIRE_GPU=1 asks for a complete run.</summary>
    public static string Path(string relative)
    {
        string shared = Environment.GetEnvironmentVariable("FASTKRON_SHARED") ?? System.IO.Path.Combine(Root, "..", "shared");
        string path = System.IO.Path.GetFullPath(System.IO.Path.Combine(shared, "data", relative));
        if (File.Exists(path) || Directory.Exists(path))
            return path;
        if (Environment.GetEnvironmentVariable("FASTKRON_REQUIRE_GPU") == "1")
            Assert.Fail($"{path}: missing, and FASTKRON_REQUIRE_GPU=1 allows no skips; set FASTKRON_SHARED");
        Assert.Ignore($"{path}: not there; set FASTKRON_SHARED to the folder that holds data/");
        return path;
    }

    // The repository root: the nearest folder above the test program that holds tests/models, else above this source file.
    private static string FindRoot([CallerFilePath] string source = "")
    {
        foreach (string? start in new[] { AppContext.BaseDirectory, System.IO.Path.GetDirectoryName(source) })
        {
            for (string? folder = start; folder is not null; folder = System.IO.Path.GetDirectoryName(folder))
            {
                if (Directory.Exists(System.IO.Path.Combine(folder, "tests", "models")))
                    return folder;
            }
        }
        return AppContext.BaseDirectory;
    }
}
