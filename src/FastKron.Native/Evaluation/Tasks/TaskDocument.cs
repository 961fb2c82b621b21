namespace FastKron.Native.Evaluation.Tasks;

/// <summary>One question of a task.</summary>
/// <param name="Id">Its name in the file, or <c>TASK/NUMBER</c> counted from 0.</param>
/// <param name="Choices">The texts among which the model chooses; one where its own next words are asked.</param>
/// <param name="Gold">Index of the right choice.</param>
public sealed record TaskDocument(string Id, IReadOnlyList<TaskChoice> Choices, int Gold);
