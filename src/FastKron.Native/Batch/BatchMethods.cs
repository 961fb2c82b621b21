using FastKron.Native.Fisher;

namespace FastKron.Native.Batch;

/// <summary>The methods of a batch by name: what the factors of the rounding are.</summary>
public static class BatchMethods
{
    /// <summary>All names.</summary>
    public static IReadOnlyList<string> Names { get; } = ["none", "activation", "likelihood", "power", "lanczos", "published"];

    /// <summary>How the factors of a method are made; null for none.</summary>
    /// <param name="name">none; activation (LDLQ); likelihood, power or lanczos (both factors); published (true labels, one long Lanczos cycle).</param>
    /// <param name="gradients">K.</param>
    /// <param name="seed">Seed of sampled labels.</param>
    /// <exception cref="ArgumentException">Another name.</exception>
    public static FisherOptions? Factors(string name, int gradients, ulong seed)
    {
        var common = new FisherOptions { Gradients = gradients, Seed = seed };
        return name switch
        {
            "none" => null,
            "activation" => common with { Source = FactorSource.Activation },
            "likelihood" => common with { Solver = new SolverOptions { Kind = SolverKind.Likelihood } },
            "power" => common with { Solver = new SolverOptions { Kind = SolverKind.Power } },
            "lanczos" => common with { Solver = new SolverOptions { Kind = SolverKind.Lanczos } },
            "published" => common with { Solver = SolverOptions.Published, Labels = LabelSource.True },
            _ => throw new ArgumentException($"method {name}: expected one of {string.Join(", ", Names)}", nameof(name)),
        };
    }
}
