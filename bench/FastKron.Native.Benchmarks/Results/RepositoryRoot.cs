namespace FastKron.Native.Benchmarks.Results;

/// <summary>Finds the repository above the program.</summary>
internal static class RepositoryRoot
{
    /// <summary>Nearest folder above the program, or the working folder, that holds the solution.</summary>
    /// <exception cref="DirectoryNotFoundException">There is none.</exception>
    public static string Find()
    {
        foreach (string start in new[] { AppContext.BaseDirectory, Environment.CurrentDirectory })
        {
            for (string? folder = start; folder is not null; folder = Path.GetDirectoryName(folder))
            {
                if (File.Exists(Path.Combine(folder, "FastKron.Native.sln")))
                    return folder;
            }
        }
        throw new DirectoryNotFoundException($"FastKron.Native.sln: not above {AppContext.BaseDirectory}; run from the repository");
    }
}
