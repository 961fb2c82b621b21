using FastKron.Native.Fisher;

namespace FastKron.Native.Batch;

/// <summary>The methods of a batch by name: what the factors of the rounding are.</summary>
public static class BatchMethods
{
    /// <summary>The model as it is, only measured.</summary>
    public const string Original = "original";

    /// <summary>Every weight counts the same.</summary>
    public const string None = "none";

    /// <summary>The FastKron paper's: true labels, one long Lanczos cycle, weights as they are.</summary>
    public const string Published = "published";

    /// <summary>All names.</summary>
    public static IReadOnlyList<string> Names { get; } =
        [Original, None, "activation", "likelihood", "power", "lanczos", Published, "per-sequence", "token-likelihood", "sketch-a", "sketch-b"];

    /// <summary>Whether the number of half-steps of a method can be chosen.</summary>
    internal static bool TakesHalfSteps(string name) => name is "likelihood" or "power" or "per-sequence";

    /// <summary>How the factors of a method are made; null for those without.</summary>
    /// <param name="name">original or none; activation (LDLQ); likelihood, power, lanczos or published (minibatch gradients); another source by its name.</param>
    /// <param name="gradients">K.</param>
    /// <param name="seed">Seed of sampled labels.</param>
    /// <param name="halfSteps">Half-steps of likelihood, power and per-sequence; null for the default.</param>
    /// <exception cref="ArgumentException">Another name.</exception>
    public static FisherOptions? Factors(string name, int gradients, ulong seed, int? halfSteps = null)
    {
        var common = new FisherOptions { Gradients = gradients, Seed = seed };
        SolverOptions solver = halfSteps is { } count ? new SolverOptions { HalfSteps = count } : new SolverOptions();
        return name switch
        {
            Original or None => null,
            "activation" => common with { Source = FactorSource.Activation },
            "likelihood" => common with { Solver = solver },
            "power" => common with { Solver = solver with { Kind = SolverKind.Power } },
            "lanczos" => common with { Solver = new SolverOptions { Kind = SolverKind.Lanczos } },
            Published => common with { Solver = SolverOptions.Published, Labels = LabelSource.True },
            "per-sequence" => common with { Source = FactorSource.PerSequence, Solver = solver },
            "token-likelihood" => common with { Source = FactorSource.TokenLikelihood },
            "sketch-a" => common with { Source = FactorSource.SketchA },
            "sketch-b" => common with { Source = FactorSource.SketchB },
            _ => throw new ArgumentException($"method {name}: expected one of {string.Join(", ", Names)}", nameof(name)),
        };
    }
}
