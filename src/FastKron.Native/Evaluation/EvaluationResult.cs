using System.Text;
using System.Text.Json;
using FastKron.Native.Evaluation.Tasks;
using FastKron.Native.Formats;
using FastKron.Native.Reports;

namespace FastKron.Native.Evaluation;

/// <summary>A result folder: <c>evaluation.json</c>, and beside it a file of <see cref="TaskRow"/>s, one JSON object a line, for every task and BOS mode.</summary>
/// <param name="Name">Name of the run: that of its folder.</param>
/// <param name="Report">What was measured.</param>
/// <param name="Rows">Rows of each task of the report, in its order.</param>
public sealed record EvaluationResult(string Name, EvaluationReport Report, IReadOnlyList<IReadOnlyList<TaskRow>> Rows)
{
    /// <summary>Name of the report in a result folder.</summary>
    public const string FileName = "evaluation.json";

    /// <summary>Makes the folder that a result is written to until it is complete, empty.</summary>
    /// <exception cref="IOException">It cannot be made.</exception>
    internal static string Stage(string folder)
    {
        string staged = Path.GetFullPath(folder).TrimEnd(Path.DirectorySeparatorChar) + AtomicFile.PartialSuffix;
        if (Directory.Exists(staged))
            Directory.Delete(staged, recursive: true);
        AtomicFile.CreateFolder(staged);
        return staged;
    }

    /// <summary>Writes a result folder, which appears only when it is complete.</summary>
    /// <returns>The report with the names of the row files.</returns>
    /// <exception cref="IOException">The folder exists, or the disk is full.</exception>
    public static EvaluationReport Write(string folder, EvaluationReport report, IReadOnlyList<IReadOnlyList<TaskRow>> rows)
    {
        string staged = Stage(folder);
        report = report with { Tasks = [.. report.Tasks.Select(task => task with { Rows = $"{task.Task}-{task.BosMode}.jsonl" })] };
        for (int t = 0; t < rows.Count; t++)
        {
            var lines = new StringBuilder();
            foreach (TaskRow row in rows[t])
                lines.Append(JsonSerializer.Serialize(row, TaskRowJson.Default.TaskRow)).Append('\n');
            AtomicFile.WriteAllBytes(Path.Combine(staged, report.Tasks[t].Rows!), Encoding.UTF8.GetBytes(lines.ToString()));
        }
        AtomicFile.WriteAllBytes(Path.Combine(staged, FileName), JsonSerializer.SerializeToUtf8Bytes(report, ReportJson.Default.EvaluationReport));
        Directory.Move(staged, folder);
        return report;
    }

    /// <summary>Reads a result folder, or the folder of a quantized model that was measured when it was made.</summary>
    /// <exception cref="InvalidDataException">No result, or not of this version: path, line, what is wrong.</exception>
    public static EvaluationResult Read(string folder)
    {
        string name = Path.GetFileName(Path.GetFullPath(folder).TrimEnd(Path.DirectorySeparatorChar)), path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
        {
            if (!File.Exists(Path.Combine(folder, ReportFiles.Json)))
                throw new InvalidDataException($"{path}: not there; give a folder that fastkron evaluate --output made, or a model that was quantized with --evaluate");
            return new EvaluationResult(name, ReportFiles.Read(folder).Evaluation
                ?? throw new InvalidDataException($"{Path.Combine(folder, ReportFiles.Json)}: found no evaluation; quantize with --evaluate, or run fastkron evaluate --output"), []);
        }
        EvaluationReport report = Parse(path, 0, File.ReadAllBytes(path), json => JsonSerializer.Deserialize(json, ReportJson.Default.EvaluationReport));
        return new EvaluationResult(name, report, [.. report.Tasks.Select(task => ReadRows(Path.Combine(folder, task.Rows ?? ""), task.Documents))]);
    }

    private static List<TaskRow> ReadRows(string path, int documents)
    {
        if (!File.Exists(path))
            throw new InvalidDataException($"{path}: not there; the result folder is incomplete: copy it again");
        string[] lines = File.ReadAllText(path).TrimEnd('\n').Split('\n');
        if (lines.Length != documents)
            throw new InvalidDataException($"{path}: found {lines.Length} rows, expected {documents}; the result folder is damaged: copy it again");
        return [.. lines.Select((line, i) => Parse(path, i + 1, Encoding.UTF8.GetBytes(line), json => JsonSerializer.Deserialize(json, TaskRowJson.Default.TaskRow)))];
    }

    private static T Parse<T>(string path, int line, byte[] bytes, Func<byte[], T?> parse) where T : class
    {
        try
        {
            return parse(bytes) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: {(line > 0 ? $"line {line}: " : "")}no result of this version ({e.Message}); read it with the version that wrote it, or measure again", e);
        }
    }
}
