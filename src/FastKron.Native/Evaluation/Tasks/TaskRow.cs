namespace FastKron.Native.Evaluation.Tasks;

/// <summary>What was measured on one document: a line of the file beside a result, from which every figure can be computed again.</summary>
public sealed record TaskRow
{
    /// <summary>Number of the document in its file, from 0.</summary>
    public required int Doc { get; init; }

    /// <summary>Its name.</summary>
    public required string Id { get; init; }

    /// <summary>Log-likelihood of every choice in nats.</summary>
    public required IReadOnlyList<double> LogLikelihoods { get; init; }

    /// <summary>Tokens of every choice.</summary>
    public required IReadOnlyList<int> Tokens { get; init; }

    /// <summary>Code points of every choice, without its leading space.</summary>
    public required IReadOnlyList<int> Characters { get; init; }

    /// <summary>UTF-8 bytes of every choice, without its leading space.</summary>
    public required IReadOnlyList<int> Bytes { get; init; }

    /// <summary>The choice of the largest log-likelihood, the first of equals. For a last word: 0 if the model writes it itself, else −1.</summary>
    public required int Prediction { get; init; }

    /// <summary>The right choice.</summary>
    public required int Gold { get; init; }

    /// <summary>1 if the prediction is right, else 0.</summary>
    public required int Acc { get; init; }

    /// <summary>The same with log-likelihoods divided by <see cref="Characters"/>; null for tasks without it.</summary>
    public int? AccNorm { get; init; }
}
