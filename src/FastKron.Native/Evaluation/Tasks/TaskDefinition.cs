using FastKron.Native.Formats;

namespace FastKron.Native.Evaluation.Tasks;

/// <summary>A zero-shot task: its prompt, its data set's own file format, how it is scored (evaluation.md sections 1, 2 and 7).</summary>
public sealed class TaskDefinition
{
    /// <summary>Ties a task to its data set's own format.</summary>
    /// <param name="keyField">Field by which a line of that format is known.</param>
    /// <param name="readOriginal">Makes a document of such a line: fields, id, and the label where that lies in a file of its own.</param>
    internal TaskDefinition(string keyField, Func<JsonFields, string, int?, TaskDocument> readOriginal) => (KeyField, ReadOriginal) = (keyField, readOriginal);

    /// <summary>Name, as lm-evaluation-harness has it.</summary>
    public required string Name { get; init; }

    /// <summary>Version of the prompt there.</summary>
    public required string Version { get; init; }

    /// <summary>How it is scored.</summary>
    public required TaskKind Kind { get; init; }

    /// <summary>Published sets of documents.</summary>
    public required IReadOnlyList<TaskSplit> Splits { get; init; }

    /// <summary>Fields of the data set's own format, for messages.</summary>
    public required string Fields { get; init; }

    /// <summary>Field by which a line of that format is known.</summary>
    internal string KeyField { get; }

    /// <summary>Makes a document of such a line: fields, id, and the label where that lies in a file of its own.</summary>
    internal Func<JsonFields, string, int?, TaskDocument> ReadOriginal { get; }

    /// <summary>Whether labels may lie in a file beside the documents: <c>NAME-labels.lst</c> for <c>NAME.jsonl</c>.</summary>
    public bool HasLabelFile { get; init; }

    /// <summary>Protocol id.</summary>
    public string Protocol => Kind == TaskKind.LastWord ? "lastword/harness-0.4" : "mc/harness-0.4";

    /// <summary>Whether <c>acc_norm</c> is defined.</summary>
    public bool IsNormalized => Kind == TaskKind.Choices;
}
