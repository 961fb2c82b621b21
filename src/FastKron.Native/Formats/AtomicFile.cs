using Microsoft.Win32.SafeHandles;

namespace FastKron.Native.Formats;

/// <summary>A file that appears whole or not at all: written under a temporary name, flushed to the disk, then renamed.</summary>
/// <remarks>
/// The temporary name is the final one with <c>.partial</c> behind it, so that what a killed process left is overwritten by the next attempt, and two
/// processes that write the same file are kept apart by the lock on it. Not thread-safe.
/// </remarks>
public sealed class AtomicFile : IDisposable
{
    /// <summary>What is added to the name until <see cref="Commit"/>.</summary>
    public const string PartialSuffix = ".partial";

    private readonly SafeFileHandle _handle;
    private readonly string _partial;
    private bool _done;

    private AtomicFile(string path, string partial, SafeFileHandle handle) => (Path, _partial, _handle) = (path, partial, handle);

    /// <summary>Absolute path under which the file will appear.</summary>
    public string Path { get; }

    /// <summary>Opens the temporary file. An existing file at <paramref name="path"/> stays until <see cref="Commit"/> replaces it.</summary>
    /// <param name="path">Final path; its folder exists.</param>
    /// <param name="bytes">Bytes that will be written, reserved on the disk at once; 0 if unknown.</param>
    /// <exception cref="IOException">No room, no folder, or another process writes the same file.</exception>
    public static AtomicFile Create(string path, long bytes = 0)
    {
        path = System.IO.Path.GetFullPath(path);
        string partial = path + PartialSuffix;
        try
        {
            return new AtomicFile(
                path, partial, File.OpenHandle(partial, FileMode.Create, FileAccess.Write, FileShare.None, FileOptions.None, bytes));
        }
        catch (IOException e) when (e is not (DirectoryNotFoundException or PathTooLongException))
        {
            throw Failed(path, bytes, e);
        }
    }

    /// <summary>Writes bytes at an offset.</summary>
    /// <exception cref="IOException">The disk is full or failed: path, bytes, free bytes.</exception>
    public void Write(ReadOnlySpan<byte> bytes, long offset)
    {
        try
        {
            RandomAccess.Write(_handle, bytes, offset);
        }
        catch (IOException e)
        {
            throw Failed(Path, bytes.Length, e);
        }
    }

    /// <summary>Flushes to the disk and gives the file its final name.</summary>
    /// <exception cref="IOException">The disk is full or failed; the temporary file is deleted on disposal.</exception>
    public void Commit()
    {
        ObjectDisposedException.ThrowIf(_done, this);
        try
        {
            RandomAccess.FlushToDisk(_handle);
            _handle.Dispose();
            File.Move(_partial, Path, overwrite: true);
        }
        catch (IOException e)
        {
            throw Failed(Path, 0, e);
        }
        _done = true;
    }

    /// <summary>Writes a whole small file.</summary>
    /// <exception cref="IOException">As <see cref="Write"/>.</exception>
    public static void WriteAllBytes(string path, ReadOnlySpan<byte> bytes)
    {
        using AtomicFile file = Create(path, bytes.Length);
        file.Write(bytes, 0);
        file.Commit();
    }

    /// <summary>Makes a folder and its parents, where they are not there.</summary>
    /// <exception cref="IOException">It cannot be made: path, reason, cure.</exception>
    public static void CreateFolder(string path)
    {
        try
        {
            Directory.CreateDirectory(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"{path}: the folder cannot be made: {Reason(e)}; choose a place that can be written", e);
        }
    }

    /// <summary>Deletes the temporary file unless it was committed.</summary>
    public void Dispose()
    {
        if (_done)
            return;
        _done = true;
        _handle.Dispose();
        File.Delete(_partial);
    }

    private static IOException Failed(string path, long bytes, IOException cause)
    {
        string free = "";
        try
        {
            free = $" ({new DriveInfo(System.IO.Path.GetDirectoryName(path) ?? path).AvailableFreeSpace:N0} bytes free there)";
        }
        catch (Exception e) when (e is IOException or ArgumentException or UnauthorizedAccessException)
        {
            // The free space only helps the reader of the message; the cause below is what failed.
        }
        return new IOException(
            $"{path}: writing {bytes:N0} bytes failed{free}: {Reason(cause)}; make room or choose another folder, then run again", cause);
    }

    // What the system says ends with a path or a full stop; neither belongs into the middle of a sentence.
    private static string Reason(Exception cause) => cause.Message.Split(" : '")[0].TrimEnd('.');
}
