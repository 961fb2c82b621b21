namespace FastKron.Native.Tests.Formats;

/// <summary>A folder that is deleted with everything in it; in memory where the system offers that, since tests flush thousands of small files.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    private const string Memory = "/dev/shm";

    public TemporaryFolder() => Path = Directory.CreateDirectory(
        System.IO.Path.Combine(Directory.Exists(Memory) ? Memory : System.IO.Path.GetTempPath(), $"fastkron-{Guid.NewGuid():N}")).FullName;

    public string Path { get; }

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
