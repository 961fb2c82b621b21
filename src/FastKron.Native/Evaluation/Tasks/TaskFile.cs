using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using FastKron.Native.Formats;

namespace FastKron.Native.Evaluation.Tasks;

/// <summary>The documents of a task, read from one file.</summary>
/// <param name="Task">The task.</param>
/// <param name="Path">The file.</param>
/// <param name="Hash">SHA-256 of its content, decompressed; lower-case hex.</param>
/// <param name="Documents">At least one.</param>
/// <param name="Split">The published set that these documents are, by their number and labels; null where they are none.</param>
public sealed record TaskFile(TaskDefinition Task, string Path, string Hash, IReadOnlyList<TaskDocument> Documents, TaskSplit? Split)
{
    private const string LineEnding = ".jsonl", CompressedEnding = ".jsonl.gz", Cure = "correct the line or download the file again";

    /// <summary>Finds a task's file by the spelling of the command line: <c>NAME=FILE</c>, or <c>NAME</c> for NAME.jsonl or NAME.jsonl.gz in a folder.</summary>
    /// <param name="argument">The spelling.</param>
    /// <param name="folder">Where files without a path are.</param>
    /// <exception cref="ArgumentException">No such task.</exception>
    /// <exception cref="InvalidDataException">No such file, or not what the task's files are: path, line, found, expected, cure.</exception>
    public static TaskFile Find(string argument, string folder)
    {
        int equals = argument.IndexOf('=', StringComparison.Ordinal);
        TaskDefinition task = ZeroShotTasks.Find(equals < 0 ? argument : argument[..equals]);
        if (equals >= 0)
            return Read(task, argument[(equals + 1)..]);
        string plain = System.IO.Path.Combine(folder, task.Name + LineEnding), compressed = System.IO.Path.Combine(folder, task.Name + CompressedEnding);
        if (File.Exists(plain) || File.Exists(compressed))
            return Read(task, File.Exists(plain) ? plain : compressed);
        throw new InvalidDataException(
            $"{plain}: not there, nor with .gz behind it; put the file there, name its folder with --task-data, or write --tasks {task.Name}=FILE");
    }

    /// <summary>Reads a file of JSON lines, in the shared format or the data set's own.</summary>
    /// <param name="task">The task.</param>
    /// <param name="path">The file; compressed where it ends in .gz.</param>
    /// <exception cref="InvalidDataException">No such file, or not what the task's files are: path, line, found, expected, cure.</exception>
    public static TaskFile Read(TaskDefinition task, string path)
    {
        if (!File.Exists(path))
            throw new InvalidDataException($"{path}: no such file; give the file of {task.Name}: JSON lines, also as .gz");
        byte[] bytes = GzipFile.ReadAllBytes(path);
        int[]? labels = task.HasLabelFile ? ReadLabels(path) : null;
        var documents = new List<TaskDocument>();
        int number = 0;
        for (int start = 0, end; start < bytes.Length; start = end + 1)
        {
            end = Array.IndexOf(bytes, (byte)'\n', start);
            if (end < 0)
                end = bytes.Length;
            number++;
            ReadOnlyMemory<byte> line = bytes.AsMemory(start, end - start);
            if (line.Span.Trim(" \t\r"u8).IsEmpty)
                continue;
            if (labels is not null && documents.Count == labels.Length)
                throw new InvalidDataException($"{path}: line {number}: found more documents than {LabelPath(path)} has labels ({labels.Length}); the two files are of different splits");
            documents.Add(ReadLine(task, $"{path}: line {number}", line, documents.Count, labels?[documents.Count]));
        }
        if (documents.Count == 0)
            throw new InvalidDataException($"{path}: found no document, expected one JSON object a line; download the file again");
        if (labels is not null && labels.Length != documents.Count)
            throw new InvalidDataException($"{LabelPath(path)}: found {labels.Length} labels, expected {documents.Count}, one for each document of {path}; the two files are of different splits");
        return new TaskFile(task, path, Convert.ToHexStringLower(SHA256.HashData(bytes)), documents, task.Splits.FirstOrDefault(s => s.Matches(documents)));
    }

    /// <summary>What published sets of the task hold, for a message about documents that are none of them; null where they are one.</summary>
    public string? UnknownSplit => Split is not null ? null
        : $"{Path}: found {Documents.Count} documents with labels {Describe(TaskSplit.CountLabels(Documents))}, which is no set of {Task.Name} known here "
            + $"({string.Join("; ", Task.Splits.Select(s => $"{s.Name} {s.Documents}{(s.Labels is null ? "" : $", labels {Describe(s.Labels)}")}"))}); its figures are not comparable with published ones";

    private static TaskDocument ReadLine(TaskDefinition task, string place, ReadOnlyMemory<byte> line, int index, int? label)
    {
        try
        {
            return JsonFields.Parse(place, line, fields =>
            {
                string id = string.Create(CultureInfo.InvariantCulture, $"{task.Name}/{index}");
                TaskDocument document = fields.Contains("type")
                    ? ReadShared(task, fields, fields.Text("id") ?? id)
                    : fields.Contains(task.KeyField)
                        ? task.ReadOriginal(fields, id, label)
                        : throw new InvalidDataException($"{place}: found the fields {MalformedFile.Quote(fields.Names)}, expected those of {task.Name} ({task.Fields}) or of the shared format (type, context …); convert the file");
                return Checked(document, place);
            });
        }
        catch (InvalidDataException e) when (e.InnerException is JsonException json)
        {
            throw new InvalidDataException($"{place}, byte {json.BytePositionInLine}: found broken JSON ({json.Message}), expected one object; {Cure}", e);
        }
    }

    private static TaskDocument ReadShared(TaskDefinition task, JsonFields fields, string id)
    {
        string type = fields.RequiredText("type"), expected = task.Kind switch { TaskKind.Contexts => "mc_context", TaskKind.LastWord => "lastword", _ => "mc" };
        if (type != expected)
            throw fields.Bad("type", $"\"{expected}\" for {task.Name}");
        switch (task.Kind)
        {
            case TaskKind.LastWord:
                return new TaskDocument(id, [new TaskChoice(fields.RequiredText("context"), fields.RequiredText("target"))], 0);
            case TaskKind.Contexts:
                string target = fields.RequiredText("target");
                List<string> contexts = fields.Texts("contexts");
                return new TaskDocument(id, [.. contexts.Select(context => new TaskChoice(context, target))], fields.RequiredIndex("label", contexts.Count));
            default:
                string context = fields.RequiredText("context");
                List<string> choices = fields.Texts("choices");
                return new TaskDocument(id, [.. choices.Select(choice => new TaskChoice(context, choice))], fields.RequiredIndex("label", choices.Count));
        }
    }

    private static TaskDocument Checked(TaskDocument document, string place)
    {
        for (int choice = 0; choice < document.Choices.Count; choice++)
        {
            if (document.Choices[choice].Characters == 0)
                throw new InvalidDataException($"{place}: found an empty choice {choice}, expected text; {Cure}");
        }
        return document;
    }

    private static int[]? ReadLabels(string path)
    {
        string file = LabelPath(path);
        if (!File.Exists(file))
            return null;
        string[] lines = File.ReadAllText(file).TrimEnd('\n', '\r', ' ').Split('\n');
        int[] labels = new int[lines.Length];
        for (int i = 0; i < lines.Length; i++)
        {
            string line = lines[i].Trim();
            if (line is not ("0" or "1"))
                throw new InvalidDataException($"{file}: line {i + 1}: found {MalformedFile.Quote(line)}, expected 0 or 1; {Cure}");
            labels[i] = line[0] - '0';
        }
        return labels;
    }

    // valid.jsonl and valid.jsonl.gz: valid-labels.lst beside them.
    private static string LabelPath(string path)
    {
        string name = System.IO.Path.GetFileName(path);
        foreach (string ending in new[] { CompressedEnding, LineEnding })
        {
            if (name.EndsWith(ending, StringComparison.OrdinalIgnoreCase))
                name = name[..^ending.Length];
        }
        return System.IO.Path.Combine(System.IO.Path.GetDirectoryName(path) ?? "", name + "-labels.lst");
    }

    private static string Describe(IReadOnlyList<int> labels) => string.Join('/', labels);
}
