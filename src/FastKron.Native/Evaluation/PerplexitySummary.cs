namespace FastKron.Native.Evaluation;

/// <summary>Perplexity of a text (evaluation.md sections 3 to 5).</summary>
public sealed record PerplexitySummary
{
    /// <summary>Protocol id: <c>block/SET/LEN</c>, <c>rolling/wikitext</c> or <c>gguf/LEN</c>.</summary>
    public required string Protocol { get; init; }

    /// <summary>Tokens of a block, window or chunk.</summary>
    public required int Window { get; init; }

    /// <summary>exp of the mean of <see cref="Blocks"/>: per scored token; per word in <c>rolling/wikitext</c>.</summary>
    public required double Perplexity { get; init; }

    /// <summary>Standard error of <see cref="Perplexity"/>, from the spread of the blocks.</summary>
    public required double StandardError { get; init; }

    /// <summary>Perplexity per UTF-8 byte; null where the protocol counts none.</summary>
    public double? BytePerplexity { get; init; }

    /// <summary>Bits per UTF-8 byte; null where the protocol counts none.</summary>
    public double? BitsPerByte { get; init; }

    /// <summary>
    /// Mean loss of every block or chunk in nats per token. Of every page, whose sizes differ, its share in the loss per word: the ratio of the sums plus the page's
    /// deviation from it, so that mean and spread are those of the ratio, and paired differences those of two ratios.
    /// </summary>
    public required IReadOnlyList<double> Blocks { get; init; }

    /// <summary>Summary of blocks' losses.</summary>
    internal static PerplexitySummary Of(string protocol, int window, double[] blocks)
    {
        double perplexity = Math.Exp(Statistics.Mean(blocks));
        return new PerplexitySummary { Protocol = protocol, Window = window, Perplexity = perplexity, StandardError = perplexity * Statistics.StandardError(blocks), Blocks = blocks };
    }
}
