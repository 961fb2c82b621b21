using FastKron.Native.Fisher;

namespace FastKron.Native.Batch;

/// <summary>The methods of a batch by name: what the factors of the rounding are.</summary>
public static class BatchMethods
{
    /// <summary>All names.</summary>
    public static IReadOnlyList<string> Names { get; } = ["none", "activation", "likelihood", "power", "lanczos", "published", "per-sequence", "token-likelihood", "sketch-a", "sketch-b"];

    /// <summary>How the factors of a method are made; null for none.</summary>
    /// <param name="name">none; activation (LDLQ); likelihood, power or lanczos (both factors from minibatch gradients); published (true labels, one long Lanczos
    /// cycle); per-sequence, token-likelihood, sketch-a, sketch-b (both factors from single sequences or tokens).</param>
    /// <param name="gradients">K.</param>
    /// <param name="seed">Seed of sampled labels.</param>
    /// <param name="halfSteps">Half-steps of likelihood and power; null for the default.</param>
    /// <exception cref="ArgumentException">Another name.</exception>
    public static FisherOptions? Factors(string name, int gradients, ulong seed, int? halfSteps = null)
    {
        var common = new FisherOptions { Gradients = gradients, Seed = seed };
        SolverOptions solver = halfSteps is { } count ? new SolverOptions { HalfSteps = count } : new SolverOptions();
        return name switch
        {
            "none" => null,
            "activation" => common with { Source = FactorSource.Activation },
            "likelihood" => common with { Solver = solver },
            "power" => common with { Solver = solver with { Kind = SolverKind.Power } },
            "lanczos" => common with { Solver = new SolverOptions { Kind = SolverKind.Lanczos } },
            "published" => common with { Solver = SolverOptions.Published, Labels = LabelSource.True },
            "per-sequence" => common with { Source = FactorSource.PerSequence, Solver = solver },
            "token-likelihood" => common with { Source = FactorSource.TokenLikelihood },
            "sketch-a" => common with { Source = FactorSource.SketchA },
            "sketch-b" => common with { Source = FactorSource.SketchB },
            _ => throw new ArgumentException($"method {name}: expected one of {string.Join(", ", Names)}", nameof(name)),
        };
    }
}
