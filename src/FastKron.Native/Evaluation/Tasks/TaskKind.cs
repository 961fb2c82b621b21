namespace FastKron.Native.Evaluation.Tasks;

/// <summary>How a task is scored.</summary>
public enum TaskKind
{
    /// <summary>The most likely of several continuations of one context; also normalized by length.</summary>
    Choices,

    /// <summary>The most likely of several continuations of one context, never normalized.</summary>
    PlainChoices,

    /// <summary>The context, of several, behind which one continuation is most likely.</summary>
    Contexts,

    /// <summary>Whether the model itself, always taking its most likely token, writes the last word.</summary>
    LastWord,
}
