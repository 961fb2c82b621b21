using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using FastKron.Native.Formats;

namespace FastKron.Native.Quantization;

/// <summary>The working folder of one run: what the job is, which artefacts are finished, and the artefacts.</summary>
/// <remarks>
/// <c>job.json</c> holds the fingerprint of everything that can change the output bytes. <c>journal.jsonl</c> is append-only: a line per finished
/// artefact with its SHA-256, flushed to disk after the artefact itself was flushed and renamed into place. Only journaled artefacts count, so a
/// process killed anywhere loses at most the artefact it was making.
/// </remarks>
public sealed class RunDirectory : IDisposable
{
    private const string DoomedSuffix = ".done", PublishMark = "publishing";

    private readonly FileStream _lock;
    private readonly FileStream _journal;
    private readonly Dictionary<string, string> _finished;

    private RunDirectory(string path, FileStream lockFile, FileStream journal, Dictionary<string, string> finished)
        => (Path, _lock, _journal, _finished) = (path, lockFile, journal, finished);

    /// <summary>Absolute path.</summary>
    public string Path { get; }

    /// <summary>Artefacts that were finished before this process or by it.</summary>
    public int FinishedCount => _finished.Count;

    /// <summary>Artefacts that a stopped run finished, without opening it; 0 where there is none.</summary>
    /// <param name="path">Folder, whether it exists or not.</param>
    public static int CountFinished(string path) => File.Exists(JournalPath(path)) ? File.ReadLines(JournalPath(path)).Count() : 0;

    /// <summary>Creates the folder, or resumes it if it holds the same job. One in which nothing is finished takes any job: nothing is lost.</summary>
    /// <param name="path">Folder; created with its parents.</param>
    /// <param name="job">Fingerprint, by option name.</param>
    /// <exception cref="InvalidDataException">The folder holds finished work of another job (the differences are listed), or its files are damaged.</exception>
    /// <exception cref="IOException">Another process works in it, or it cannot be written.</exception>
    public static RunDirectory Open(string path, IReadOnlyDictionary<string, string> job)
    {
        path = System.IO.Path.GetFullPath(path);
        if (Directory.Exists(path + DoomedSuffix))
            Directory.Delete(path + DoomedSuffix, recursive: true);
        AtomicFile.CreateFolder(path);
        FileStream lockFile;
        try
        {
            lockFile = new FileStream(System.IO.Path.Combine(path, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e is not (DirectoryNotFoundException or FileNotFoundException))
        {
            throw new IOException($"{path}: another process works in this run directory, or it cannot be written ({e.Message}); wait for it or choose another --output", e);
        }
        FileStream? journal = null;
        try
        {
            journal = new FileStream(JournalPath(path), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
            Dictionary<string, string> finished = ReadJournal(journal);
            CheckJob(System.IO.Path.Combine(path, "job.json"), job, finished.Count > 0);
            return new RunDirectory(path, lockFile, journal, finished);
        }
        catch
        {
            journal?.Dispose();
            lockFile.Dispose();
            throw;
        }
    }

    /// <summary>Path of an artefact, whether it exists or not; its folder exists.</summary>
    /// <param name="artefact">Relative path with forward slashes, for example <c>factors/model.layers.0.mlp.up_proj.safetensors</c>.</param>
    public string ArtefactPath(string artefact)
    {
        string path = System.IO.Path.Combine(Path, artefact);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        return path;
    }

    /// <summary>Whether an artefact is finished.</summary>
    /// <exception cref="InvalidDataException">It is journaled, but its file is missing or has other bytes.</exception>
    public bool IsFinished(string artefact)
    {
        if (!_finished.TryGetValue(artefact, out string? expected))
            return false;
        string path = System.IO.Path.Combine(Path, artefact);
        string found = File.Exists(path) ? Hash(path) : "no file";
        if (found != expected)
            throw new InvalidDataException($"{path}: expected sha256 {expected} as journaled, found {found}; the run directory was changed from outside: delete it and start again");
        return true;
    }

    /// <summary>Journals an artefact whose file is complete and flushed.</summary>
    public void Finish(string artefact)
    {
        string hash = Hash(System.IO.Path.Combine(Path, artefact));
        byte[] line = JsonSerializer.SerializeToUtf8Bytes(new JournalEntry(artefact, hash), RunJson.Default.JournalEntry);
        _journal.Write([.. line, (byte)'\n']);
        _journal.Flush(flushToDisk: true);
        _finished[artefact] = hash;
    }

    /// <summary>Gives a finished folder of this directory its final place, by one rename.</summary>
    /// <param name="folder">What lies in this directory.</param>
    /// <param name="output">Where it goes; its parents are made.</param>
    public void Publish(string folder, string output)
    {
        AtomicFile.WriteAllBytes(ArtefactPath(PublishMark), []);
        Finish(PublishMark);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(output))!);
        Directory.Move(folder, output);
    }

    /// <summary>Whether an earlier process published its output and only had this directory left to delete.</summary>
    public bool IsPublished(string output) => IsFinished(PublishMark) && Directory.Exists(output);

    /// <summary>Removes the folder and everything in it: the run succeeded.</summary>
    public void Delete()
    {
        // Renamed first: a process killed while deleting leaves nothing that looks like a run.
        string doomed = Path + DoomedSuffix;
        Dispose();
        Directory.Move(Path, doomed);
        Directory.Delete(doomed, recursive: true);
    }

    /// <summary>Lets go of the folder; it can be resumed.</summary>
    public void Dispose()
    {
        _journal.Dispose();
        _lock.Dispose();
    }

    /// <summary>What differs between two sets of options, in words; empty where they are the same.</summary>
    internal static string[] Differences(IReadOnlyDictionary<string, string> earlier, IReadOnlyDictionary<string, string> job) =>
    [
        .. from key in earlier.Keys.Union(job.Keys).Order(StringComparer.Ordinal)
           let then = earlier.GetValueOrDefault(key, "(absent)")
           let now = job.GetValueOrDefault(key, "(absent)")
           where then != now
           select $"{key} was {then}, is {now}",
    ];

    private static string JournalPath(string path) => System.IO.Path.Combine(path, "journal.jsonl");

    private static void CheckJob(string path, IReadOnlyDictionary<string, string> job, bool anyFinished)
    {
        if (!anyFinished || !File.Exists(path))
        {
            AtomicFile.WriteAllBytes(path, JsonSerializer.SerializeToUtf8Bytes(new SortedDictionary<string, string>(job.ToDictionary(), StringComparer.Ordinal), RunJson.Default.SortedDictionaryStringString));
            return;
        }
        SortedDictionary<string, string> earlier;
        try
        {
            earlier = JsonSerializer.Deserialize(File.ReadAllBytes(path), RunJson.Default.SortedDictionaryStringString) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: not a job file ({e.Message}); delete the run directory and start again", e);
        }
        string[] differences = Differences(earlier, job);
        if (differences.Length > 0)
            throw new InvalidDataException($"{System.IO.Path.GetDirectoryName(path)}: holds an unfinished run with other options: {string.Join("; ", differences)}. Give the same options, another --output, or delete that folder");
    }

    // A torn last line is what a killed process leaves; it is cut off so that the next line starts clean.
    private static Dictionary<string, string> ReadJournal(FileStream journal)
    {
        var finished = new Dictionary<string, string>(StringComparer.Ordinal);
        byte[] bytes = new byte[journal.Length];
        journal.ReadExactly(bytes);
        int start = 0;
        for (int end; (end = Array.IndexOf(bytes, (byte)'\n', start)) >= 0; start = end + 1)
        {
            try
            {
                JournalEntry entry = JsonSerializer.Deserialize(bytes.AsSpan(start, end - start), RunJson.Default.JournalEntry) ?? throw new JsonException("null");
                finished[entry.Artefact] = entry.Sha256;
            }
            catch (JsonException e)
            {
                throw new InvalidDataException($"{journal.Name}: byte {start}: not a journal line ({Encoding.UTF8.GetString(bytes, start, Math.Min(40, end - start))}); delete the run directory and start again", e);
            }
        }
        journal.SetLength(start);
        journal.Position = start;
        return finished;
    }

    private static string Hash(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }
}

/// <summary>A line of the journal.</summary>
internal sealed record JournalEntry(string Artefact, string Sha256);

/// <summary>Source-generated JSON of the run directory.</summary>
[JsonSourceGenerationOptions(WriteIndented = false, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(JournalEntry))]
[JsonSerializable(typeof(SortedDictionary<string, string>))]
[JsonSerializable(typeof(Dictionary<string, int>))]
internal sealed partial class RunJson : JsonSerializerContext;
