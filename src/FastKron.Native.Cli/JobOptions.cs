using System.CommandLine;
using System.CommandLine.Parsing;
using FastKron.Native.Fisher;
using FastKron.Native.Quantization;

namespace FastKron.Native.Cli;

/// <summary>The options that say how factors are made; shared by <c>quantize</c> and <c>factors</c>.</summary>
internal sealed class JobOptions
{
    private const string None = "none";

    private readonly Option<string> _preset = Choice("--preset", string.Join("; ", FisherPreset.All.Select(p => $"{p.Name}: {p.Description}")), [.. FisherPreset.All.Select(p => p.Name)]);
    private readonly Option<string?> _factors = new("--factors")
    {
        Description = "what factors are made of: fastkron (minibatch gradients), per-sequence (gradients of sequences), token-likelihood, sketch-a, sketch-b, activation (inputs only: LDLQ) or none (default: the preset's)",
    };
    private readonly Option<string?> _solver = new("--solver") { Description = "likelihood, power or lanczos (default: the preset's)" };
    private readonly Option<int?> _iterations = new("--iterations") { Description = "iterations of likelihood and power, steps of lanczos (two half-steps each); passes of token-likelihood and the sketches (default: their own)" };
    private readonly Option<int?> _halfSteps = new("--half-steps") { Description = "half-steps of likelihood and power, instead of iterations (default 6)" };
    private readonly Option<string?> _labels = new("--labels") { Description = "sampled from the model, or true next tokens (default: the preset's)" };
    private readonly Option<bool> _centre = new("--centre") { Description = "remove the mean gradient" };
    private readonly Option<string[]> _calibration = new("--calibration")
    {
        Description = "text files (.txt, .jsonl, also .gz; FILE:lines, FILE:doc, FILE:MARKER split documents), or self: for text the model writes itself, self:TOKENS for so many tokens of it, or the calibration.ids of a factor folder for exactly its tokens",
        DefaultValueFactory = _ => ["self:"],
        AllowMultipleArgumentsPerToken = true,
    };
    private readonly Option<int> _gradients = new("--gradients") { Description = "gradients per matrix", DefaultValueFactory = _ => 75 };
    private readonly Option<int?> _tokens = new("--tokens") { Description = "calibration tokens in all (default: the preset's, 712500)" };
    private readonly Option<int?> _context = new("--context") { Description = "longest calibration sequence in tokens (default: 2048, or the model's context if shorter)" };
    private readonly Option<ulong> _seed = new("--seed") { Description = "seed of signs, labels and sampled text", DefaultValueFactory = _ => 0UL };

    public JobOptions()
    {
        _factors.AcceptOnlyFromAmong([.. Enum.GetValues<FactorSource>().Select(s => s.ToText()), None]);
        _solver.AcceptOnlyFromAmong("likelihood", "power", "lanczos");
        _labels.AcceptOnlyFromAmong("sampled", "true");
    }

    public Argument<string> Model { get; } = new("MODEL") { Description = "Hugging Face folder of a LLaMA or Qwen-3 model" };

    public Option<string> Device { get; } = DeviceOption.Create();

    public void AddTo(Command command)
    {
        foreach (Option option in new Option[] { _preset, _factors, _solver, _iterations, _halfSteps, _labels, _centre, _calibration, _gradients, _tokens, _context, _seed, Device })
            command.Options.Add(option);
    }

    /// <summary>Name of an option on the command line that says how factors are made; null where there is none.</summary>
    public string? MakesFactors(CommandResult parsed) =>
        new Option[] { _factors, _solver, _iterations, _halfSteps, _labels, _centre, _calibration, _gradients, _tokens, _context }
            .FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false })?.Name;

    public QuantizationOptions Read(ParseResult parsed, string output)
    {
        var options = new QuantizationOptions
        {
            Model = parsed.GetRequiredValue(Model),
            Output = output,
            Fisher = ReadFisher(parsed),
            Calibration = parsed.GetValue(_calibration)!,
            Tokens = parsed.GetValue(_tokens) ?? Preset(parsed).Tokens,
            Context = parsed.GetValue(_context) ?? Preset(parsed).Context,
            Seed = parsed.GetValue(_seed),
            Warn = Output.Warn,
        };
        return parsed.GetValue(_preset) == FisherPreset.Published ? options.RoundedAsPublished() : options;
    }

    public static string[] Split(string? list) => list?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];

    private FisherPreset Preset(ParseResult parsed) => FisherPreset.All.First(p => p.Name == parsed.GetValue(_preset));

    private FisherOptions? ReadFisher(ParseResult parsed)
    {
        FisherOptions preset = Preset(parsed).Options;
        string source = parsed.GetValue(_factors) ?? preset.Source.ToText();
        if (source == None)
            return null;
        SolverKind kind = parsed.GetValue(_solver) switch
        {
            "likelihood" => SolverKind.Likelihood,
            "power" => SolverKind.Power,
            "lanczos" => SolverKind.Lanczos,
            _ => preset.Solver.Kind,
        };
        SolverOptions solver = kind == preset.Solver.Kind ? preset.Solver : new SolverOptions { Kind = kind };
        if (parsed.GetValue(_iterations) is { } iterations)
            solver = solver with { HalfSteps = 2 * iterations, LanczosSteps = iterations };
        if (parsed.GetValue(_halfSteps) is { } halfSteps)
            solver = solver with { HalfSteps = halfSteps };
        FactorSource chosen = Enum.GetValues<FactorSource>().First(s => s.ToText() == source);
        return preset with
        {
            Source = chosen,
            Passes = parsed.GetValue(_iterations) ?? (chosen == preset.Source ? preset.Passes : null),
            Solver = solver,
            Labels = parsed.GetValue(_labels) is { } labels ? labels == "true" ? LabelSource.True : LabelSource.Sampled : preset.Labels,
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
