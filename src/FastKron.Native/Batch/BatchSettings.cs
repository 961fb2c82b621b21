using System.Text.Json;
using FastKron.Native.Formats;
using FastKron.Native.Quantization;

namespace FastKron.Native.Batch;

/// <summary>The settings of a job, kept beside its result.</summary>
internal static class BatchSettings
{
    /// <summary>Whether the job was begun before.</summary>
    public static bool Exist(BatchJob job) => File.Exists(PathOf(job));

    /// <summary>Keeps them; they appear whole or not at all.</summary>
    public static void Write(BatchJob job) =>
        AtomicFile.WriteAllBytes(PathOf(job), JsonSerializer.SerializeToUtf8Bytes(job.Settings(), RunJson.Default.SortedDictionaryStringString));

    /// <summary>Refuses a job whose settings have changed.</summary>
    /// <exception cref="InvalidDataException">The differences, or a damaged file.</exception>
    public static void RequireSame(BatchJob job)
    {
        string path = PathOf(job);
        SortedDictionary<string, string> earlier;
        try
        {
            earlier = JsonSerializer.Deserialize(File.ReadAllBytes(path), RunJson.Default.SortedDictionaryStringString) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: found no settings of a job ({e.Message}), expected those that a batch wrote; delete it with {job.Output}", e);
        }
        RequireSame(job, earlier, path, $"this file with {job.Output}");
    }

    /// <summary>Refuses a job whose settings differ from those that were kept in a file.</summary>
    /// <exception cref="InvalidDataException">The differences.</exception>
    public static void RequireSame(BatchJob job, SortedDictionary<string, string> earlier, string path, string doomed)
    {
        string[] differences = RunDirectory.Differences(earlier, job.Settings());
        if (differences.Length > 0)
            throw new InvalidDataException($"{path}: the job was begun with other settings: {string.Join("; ", differences)}; give the entry another \"name\", or delete {doomed}");
    }

    private static string PathOf(BatchJob job) => job.Output + ".settings.json";
}
