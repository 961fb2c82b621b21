namespace FastKron.Native.Evaluation;

/// <summary>Distance of a quantized model's next-token distributions from the original's (evaluation.md section 6), in nats and probabilities.</summary>
public sealed record DivergenceSummary
{
    /// <summary>Protocol id: see <see cref="DivergenceProtocol"/>.</summary>
    public required string Protocol { get; init; }

    /// <summary>Mean KL(original ‖ quantized).</summary>
    public required double Mean { get; init; }

    /// <summary>Standard error of <see cref="Mean"/> over blocks.</summary>
    public required double StandardError { get; init; }

    /// <summary>Mean KL(quantized ‖ original).</summary>
    public required double ReverseMean { get; init; }

    /// <summary>Median over positions.</summary>
    public required double Median { get; init; }

    /// <summary>Largest value.</summary>
    public required double Maximum { get; init; }

    /// <summary>Quantiles over positions at <see cref="Levels"/>.</summary>
    public required IReadOnlyList<double> Quantiles { get; init; }

    /// <summary>Share of positions where both models' most likely token is the same.</summary>
    public required double TopAgreement { get; init; }

    /// <summary>Share of positions where the original's most likely token is among the quantized model's five most likely.</summary>
    public required double TopFiveHit { get; init; }

    /// <summary>Mean change of the correct token's probability, quantized − original.</summary>
    public required double ProbabilityChange { get; init; }

    /// <summary>Root mean square change of the correct token's probability.</summary>
    public required double ProbabilityChangeRms { get; init; }

    /// <summary>Quantiles over positions of that change at <see cref="Levels"/>.</summary>
    public required IReadOnlyList<double> ProbabilityChangeQuantiles { get; init; }

    /// <summary>ln(perplexity of the quantized model / perplexity of the original).</summary>
    public required double LogPerplexityRatio { get; init; }

    /// <summary>Paired standard error of <see cref="LogPerplexityRatio"/> over blocks.</summary>
    public required double LogPerplexityRatioError { get; init; }

    /// <summary>Correlation of the two models' losses over positions.</summary>
    public required double LossCorrelation { get; init; }

    /// <summary>Mean KL of every block, for paired comparisons between methods.</summary>
    public required IReadOnlyList<double> Blocks { get; init; }

    /// <summary>Levels of <see cref="Quantiles"/> and <see cref="ProbabilityChangeQuantiles"/>.</summary>
    public static IReadOnlyList<double> Levels { get; } = [0.999, 0.99, 0.95, 0.90, 0.10, 0.05, 0.01];
}
