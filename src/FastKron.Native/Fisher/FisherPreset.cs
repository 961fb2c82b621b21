namespace FastKron.Native.Fisher;

/// <summary>A named choice of everything that makes factors; single options may still replace parts of it.</summary>
/// <param name="Name">As given on the command line.</param>
/// <param name="Description">One line for help.</param>
/// <param name="Options">Source, solver, labels, passes.</param>
/// <param name="Tokens">Calibration tokens.</param>
/// <param name="Context">Longest sequence in tokens; null for min(context of the model, 2048).</param>
/// <remarks>The sketches' tokens, contexts and passes are those of their published runs (hessians-and-rounding.md section 1); sequences are packed as ours,
/// where the published code crops one sequence of each long document. Their inputs and output gradients are kept, tokens · (m + n) numbers of a linear: the plan
/// says where a device is too small for that, and fewer tokens are needed.</remarks>
public sealed record FisherPreset(string Name, string Description, FisherOptions Options, int Tokens, int? Context = null)
{
    /// <summary>The FastKron paper's, whose matrices are rounded its way, too.</summary>
    public const string Published = "published";

    private const int Default = 712_500;

    /// <summary>Every preset; the first is the default.</summary>
    public static IReadOnlyList<FisherPreset> All { get; } =
    [
        new("default", "likelihood factors from 75 gradients", new FisherOptions(), Default),
        new(Published, "true labels, the Lanczos solver and plain rounding with the HYB code, as the FastKron paper has it", new FisherOptions { Labels = LabelSource.True, Solver = SolverOptions.Published }, Default),
        new("sketch-a", "4 passes over 4096 sequences of 4096 tokens, as FastKron ran it", new FisherOptions { Source = FactorSource.SketchA, Passes = 4 }, 4096 * 4096, 4096),
        new("sketch-a-yaqa", "6 passes over 4096 sequences of 8192 tokens, as YAQA ran it", new FisherOptions { Source = FactorSource.SketchA, Passes = 6 }, 4096 * 8192, 8192),
        new("sketch-b", "1 pass over 65536 sequences of 2048 tokens", new FisherOptions { Source = FactorSource.SketchB, Passes = 1 }, 65536 * 2048, 2048),
    ];
}
