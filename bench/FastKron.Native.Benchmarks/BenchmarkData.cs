namespace FastKron.Native.Benchmarks;

/// <summary>Finds the shipped models, and the shared folder named by FASTKRON_SHARED (default ../shared beside the repository).</summary>
internal static class BenchmarkData
{
    private static readonly string Root = FindRoot();

    /// <summary>A path in the repository.</summary>
    public static string Repository(params ReadOnlySpan<string> parts) => Path.Combine([Root, .. parts]);

    /// <summary>A path in the shared folder's data, or null, with a line on the console, where it is absent.</summary>
    public static string? Shared(string relative)
    {
        string shared = Environment.GetEnvironmentVariable("FASTKRON_SHARED") ?? Path.Combine(Root, "..", "shared");
        string path = Path.GetFullPath(Path.Combine(shared, "data", relative));
        if (Path.Exists(path))
            return path;
        Console.WriteLine($"// Skipped: {path} is not there; set FASTKRON_SHARED to the folder that holds data/");
        return null;
    }

    // BenchmarkDotNet runs copies of the program in folders below its own.
    private static string FindRoot()
    {
        for (string? folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (Directory.Exists(Path.Combine(folder, "tests", "models")))
                return folder;
        }
        throw new DirectoryNotFoundException($"no folder above {AppContext.BaseDirectory} holds tests/models; run from a checkout or a bundle");
    }
}
