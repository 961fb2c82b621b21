namespace FastKron.Native.Fisher;

/// <summary>Where Kronecker factors come from.</summary>
public enum FactorSource
{
    /// <summary>Minibatch gradients: both factors.</summary>
    FastKron,

    /// <summary>Gradients of single sequences: both factors, with any solver.</summary>
    PerSequence,

    /// <summary>Outer products of single tokens, weighed by the inverse of the other factor.</summary>
    TokenLikelihood,

    /// <summary>Outer products of single tokens, weighed by the other factor: YAQA's Sketch A.</summary>
    SketchA,

    /// <summary>Gradients of single sequences, a few power iterations: YAQA's Sketch B.</summary>
    SketchB,

    /// <summary>Second moment of the inputs, X ᵀX/T: hIn only, the matrix that LDLQ uses.</summary>
    Activation,
}

/// <summary>Labels of the loss whose gradients are taken.</summary>
public enum LabelSource
{
    /// <summary>Drawn from the model's own distribution at every position: the Fisher matrix.</summary>
    Sampled,

    /// <summary>The next token of the text (none at a sequence's last position): the empirical Fisher matrix of the published method.</summary>
    True,
}

/// <summary>What is subtracted from the gradients before factors are fitted.</summary>
public enum GradientCentering
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>The mean of the K gradients, which does not shrink with the size of a minibatch when labels are true.</summary>
    Mean,
}

/// <summary>The words used for these on the command line and in files.</summary>
public static class FisherNames
{
    /// <summary>fastkron, per-sequence, token-likelihood, sketch-a, sketch-b or activation.</summary>
    public static string ToText(this FactorSource source) => source switch
    {
        FactorSource.FastKron => "fastkron",
        FactorSource.PerSequence => "per-sequence",
        FactorSource.TokenLikelihood => "token-likelihood",
        FactorSource.SketchA => "sketch-a",
        FactorSource.SketchB => "sketch-b",
        FactorSource.Activation => "activation",
        _ => throw new ArgumentOutOfRangeException(nameof(source)),
    };

    /// <summary>Passes over the data where the options say nothing: 3 for token-likelihood, 4 for Sketch A, 1 for Sketch B; 0 for sources that have solvers.</summary>
    public static int DefaultPasses(this FactorSource source) => source switch
    {
        FactorSource.TokenLikelihood => 3,
        FactorSource.SketchA => 4,
        FactorSource.SketchB => 1,
        _ => 0,
    };

    /// <summary>sampled or true.</summary>
    public static string ToText(this LabelSource labels) => labels switch
    {
        LabelSource.Sampled => "sampled",
        LabelSource.True => "true",
        _ => throw new ArgumentOutOfRangeException(nameof(labels)),
    };

    /// <summary>likelihood, power or lanczos.</summary>
    public static string ToText(this SolverKind solver) => solver switch
    {
        SolverKind.Likelihood => "likelihood",
        SolverKind.Power => "power",
        SolverKind.Lanczos => "lanczos",
        _ => throw new ArgumentOutOfRangeException(nameof(solver)),
    };
}
