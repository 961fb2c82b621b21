using System.CommandLine;
using FastKron.Native.Fisher;
using FastKron.Native.Quantization;

namespace FastKron.Native.Cli;

/// <summary>The options that say how factors are made; shared by <c>quantize</c> and <c>factors</c>.</summary>
internal sealed class JobOptions
{
    private readonly Option<string> _preset = Choice("--preset", "default, or published: true labels and the Lanczos solver, as the FastKron paper has it", "default", "published");
    private readonly Option<string> _factors = Choice("--factors", "fastkron (both Kronecker factors), activation (inputs only: LDLQ) or none", "fastkron", "activation", "none");
    private readonly Option<string?> _solver = new("--solver") { Description = "likelihood, power or lanczos (default: the preset's)" };
    private readonly Option<int?> _iterations = new("--iterations") { Description = "iterations of likelihood and power, steps of lanczos (default: the solver's own)" };
    private readonly Option<string?> _labels = new("--labels") { Description = "sampled from the model, or true next tokens (default: the preset's)" };
    private readonly Option<bool> _centre = new("--centre") { Description = "remove the mean gradient" };
    private readonly Option<string[]> _calibration = new("--calibration")
    {
        Description = "text files (.txt, .jsonl, also .gz; FILE:lines, FILE:doc, FILE:MARKER split documents), or self: for text the model writes itself, self:TOKENS for so many tokens of it, or the calibration.ids of a factor folder for exactly its tokens",
        DefaultValueFactory = _ => ["self:"],
        AllowMultipleArgumentsPerToken = true,
    };
    private readonly Option<int> _gradients = new("--gradients") { Description = "gradients per matrix", DefaultValueFactory = _ => 75 };
    private readonly Option<int> _tokens = new("--tokens") { Description = "calibration tokens in all", DefaultValueFactory = _ => 712_500 };
    private readonly Option<int?> _context = new("--context") { Description = "longest calibration sequence in tokens (default: 2048, or the model's context if shorter)" };
    private readonly Option<ulong> _seed = new("--seed") { Description = "seed of signs, labels and sampled text", DefaultValueFactory = _ => 0UL };

    public JobOptions()
    {
        _solver.AcceptOnlyFromAmong("likelihood", "power", "lanczos");
        _labels.AcceptOnlyFromAmong("sampled", "true");
    }

    public Argument<string> Model { get; } = new("MODEL") { Description = "Hugging Face folder of a LLaMA or Qwen-3 model" };

    public Option<string> Device { get; } = DeviceOption.Create();

    public void AddTo(Command command)
    {
        foreach (Option option in new Option[] { _preset, _factors, _solver, _iterations, _labels, _centre, _calibration, _gradients, _tokens, _context, _seed, Device })
            command.Options.Add(option);
    }

    public QuantizationOptions Read(ParseResult parsed, string output) => new()
    {
        Model = parsed.GetRequiredValue(Model),
        Output = output,
        Fisher = ReadFisher(parsed),
        Calibration = parsed.GetValue(_calibration)!,
        Tokens = parsed.GetValue(_tokens),
        Context = parsed.GetValue(_context),
        Seed = parsed.GetValue(_seed),
        Warn = Output.Warn,
    };

    public static string[] Split(string? list) => list?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];

    private FisherOptions? ReadFisher(ParseResult parsed)
    {
        string source = parsed.GetValue(_factors)!;
        if (source == "none")
            return null;
        bool published = parsed.GetValue(_preset) == "published";
        SolverOptions solver = (parsed.GetValue(_solver), published) switch
        {
            ("likelihood", _) or (null, false) => new SolverOptions { Kind = SolverKind.Likelihood },
            ("power", _) => new SolverOptions { Kind = SolverKind.Power },
            (_, true) => SolverOptions.Published,
            _ => new SolverOptions { Kind = SolverKind.Lanczos },
        };
        if (parsed.GetValue(_iterations) is { } iterations)
            solver = solver with { Iterations = iterations, LanczosSteps = iterations };
        return new FisherOptions
        {
            Source = source == "activation" ? FactorSource.Activation : FactorSource.FastKron,
            Solver = solver,
            Labels = (parsed.GetValue(_labels) ?? (published ? "true" : "sampled")) == "true" ? LabelSource.True : LabelSource.Sampled,
            Centering = parsed.GetValue(_centre) ? GradientCentering.Mean : GradientCentering.None,
            Gradients = parsed.GetValue(_gradients),
            Seed = parsed.GetValue(_seed),
        };
    }

    private static Option<string> Choice(string name, string description, params string[] values)
    {
        var option = new Option<string>(name) { Description = description, DefaultValueFactory = _ => values[0] };
        option.AcceptOnlyFromAmong(values);
        return option;
    }
}
