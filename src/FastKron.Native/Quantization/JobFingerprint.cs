using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Calibration;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Fisher;

namespace FastKron.Native.Quantization;

/// <summary>Everything that can change the bytes of a run's output, by name: model, data, engine build, kind of device, options. Not threads or display.</summary>
public static class JobFingerprint
{
    /// <summary>Reads every weight and calibration file once to hash it.</summary>
    /// <param name="options">Options of the run.</param>
    /// <param name="backend">Where it runs.</param>
    public static SortedDictionary<string, string> Compute(QuantizationOptions options, IBackend backend)
    {
        var job = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["engine"] = Engine.Version,
            ["engine build"] = Engine.Build,
            ["device"] = backend.Kind,
            ["model"] = HashFolder(options.Model),
            ["bits"] = Number(options.Bits) + (options.Mixed ? " mixed" : ""),
            ["format"] = options.Format.ToString().ToLowerInvariant(),
            ["skip"] = string.Join(',', options.Skip),
            ["code"] = options.ChosenCode.ToText(),
            ["scale"] = options.RelativeScale is { } scale ? Number(scale) : "of the code",
            ["equalize"] = options.Equalize ? "yes" : "no",
            ["fit scales"] = options.FitScales ? "yes" : "no",
            ["damping"] = $"{Number(options.DampingOut)}, {Number(options.DampingIn)}",
            ["window"] = Number(options.Window.Weights),
            ["propagate"] = options.PropagatedShare > 0 ? $"{Number(options.PropagatedShare)} of {options.PropagatedTokens} tokens" : "0",
            ["seed"] = options.Seed.ToString(CultureInfo.InvariantCulture),
            ["factors"] = options.Fisher?.Source.ToText() ?? "none",
        };
        if (options.FactorsFrom is { } folder)
            job["factors from"] = HashFolder(folder);
        else if (options.Fisher is { } fisher)
        {
            job["calibration"] = CalibrationStage.IsIds(options.Calibration) ? DescribeIds(options.Calibration[0]) : string.Join("; ", options.Calibration.Select(DescribeText));
            job["tokens"] = Number(options.Tokens);
            job["context"] = options.Context is { } context ? Number(context) : "default";
            AddFisher(job, fisher);
        }
        return job;
    }

    private static void AddFisher(SortedDictionary<string, string> job, FisherOptions fisher)
    {
        job["gradients"] = Number(fisher.Gradients);
        job["gradient type"] = fisher.GradientType.ToString().ToLowerInvariant();
        job["micro-batch"] = fisher.MicroBatchTokens is { } tokens ? Number(tokens) : "default";
        job["labels"] = fisher.Labels.ToText();
        if (fisher.Source.DefaultPasses() > 0)
            job["passes"] = Number(fisher.Passes ?? fisher.Source.DefaultPasses());
        if (fisher.Source == FactorSource.TokenLikelihood)
            job["epsilon"] = Number(fisher.Solver.Epsilon);
        if (fisher.Source is not (FactorSource.FastKron or FactorSource.PerSequence))
            return;
        job["centering"] = fisher.Centering.ToString().ToLowerInvariant();
        SolverOptions solver = fisher.Solver;
        job["solver"] = solver.Kind.ToText();
        job["half-steps"] = Number(solver.MostHalfSteps);
        job["tolerance"] = Number(solver.Kind switch { SolverKind.Likelihood => solver.Epsilon, SolverKind.Power => solver.PowerTolerance, _ => solver.LanczosTolerance });
    }

    private static string DescribeIds(string path) => File.Exists(path)
        ? $"ids sha256 {HashFile(path)}"
        : throw new FileNotFoundException($"{path}: found no such file, expected the calibration.ids of a factor folder", path);

    // A text is named by its content; sampling from the model itself is named by what was asked.
    private static string DescribeText(string argument)
    {
        if (argument.StartsWith(CalibrationStage.SelfPrefix, StringComparison.Ordinal))
            return argument;
        CalibrationFile file = CalibrationFile.Parse(argument);
        return $"{file.Split} {file.Marker} sha256 {HashFile(file.Path)}";
    }

    // Files that a run reads: configuration, tokenizer, weights, factors or their tokens.
    private static string HashFolder(string path)
    {
        using var all = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string file in Directory.EnumerateFiles(path).Order(StringComparer.Ordinal))
        {
            string extension = Path.GetExtension(file);
            if (extension is ".json" or ".safetensors" or ".model" or ".jinja" or ".txt" or ".pt" or ".ids")
                all.AppendData(Encoding.UTF8.GetBytes($"{Path.GetFileName(file)} {HashFile(file)}\n"));
        }
        return Convert.ToHexStringLower(all.GetHashAndReset());
    }

    private static string HashFile(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }

    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
