namespace FastKron.Native.Evaluation.Tasks;

/// <summary>A published set of documents, known by its figures.</summary>
/// <param name="Name">For example <c>test</c>, or <c>dev</c> for a development subset.</param>
/// <param name="Documents">How many it has.</param>
/// <param name="Labels">How many have each right choice; null where that is not published.</param>
public sealed record TaskSplit(string Name, int Documents, IReadOnlyList<int>? Labels)
{
    /// <summary>Whether documents have these figures.</summary>
    public bool Matches(IReadOnlyList<TaskDocument> documents)
        => documents.Count == Documents && (Labels is null || Labels.SequenceEqual(CountLabels(documents)));

    /// <summary>How many documents have each right choice.</summary>
    public static IReadOnlyList<int> CountLabels(IReadOnlyList<TaskDocument> documents)
    {
        int[] counts = new int[1 + documents.Max(d => d.Gold)];
        foreach (TaskDocument document in documents)
            counts[document.Gold]++;
        return counts;
    }
}
