using System.Diagnostics;
using System.Globalization;
using FastKron.Native.Calibration;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Quantization;

/// <summary>Makes the calibration sequences of a run, from files or from the model itself, and keeps their ids as an artefact.</summary>
internal sealed class CalibrationStage(QuantizationOptions options, RunDirectory run, IProgress<QuantizationProgress>? progress)
{
    /// <summary>Spelling of text that the model writes itself: <c>self:</c> or <c>self:TOKENS</c>.</summary>
    public const string SelfPrefix = "self:";

    /// <summary>Longest sequence in tokens where the options and the model's context say nothing else.</summary>
    public const int DefaultContext = 2048;

    /// <summary>Name of the file of ids in run directories and factor folders.</summary>
    public const string IdsFile = "calibration" + IdsExtension;

    private const string IdsExtension = ".ids";

    /// <summary>The tokens behind the factors of a folder; null where it has none.</summary>
    public static CalibrationSet? TokensOf(string factors) => HasTokens(factors) ? CalibrationSet.Load(Path.Combine(factors, IdsFile)) : null;

    /// <summary>Whether a folder of factors has the tokens behind them.</summary>
    public static bool HasTokens(string factors) => File.Exists(Path.Combine(factors, IdsFile));

    /// <summary>Whether the text comes from the model itself.</summary>
    public static bool IsSelf(IReadOnlyList<string> calibration) => calibration is [var only] && only.StartsWith(SelfPrefix, StringComparison.Ordinal);

    /// <summary>Whether the calibration is one file of token ids, as another run left it.</summary>
    public static bool IsIds(IReadOnlyList<string> calibration) => calibration is [var only] && only.EndsWith(IdsExtension, StringComparison.Ordinal);

    /// <summary>Tokens that the options ask for: those of <c>self:TOKENS</c>, or else <see cref="QuantizationOptions.Tokens"/>.</summary>
    /// <exception cref="ArgumentException">self: with something that is no number.</exception>
    public static int TokensAsked(QuantizationOptions options)
    {
        if (!IsSelf(options.Calibration) || options.Calibration[0].Length == SelfPrefix.Length)
            return options.Tokens;
        return int.TryParse(options.Calibration[0].AsSpan(SelfPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int tokens)
            ? tokens : throw new ArgumentException($"--calibration {options.Calibration[0]}: expected self: or self:TOKENS with a number of tokens, for example self:65536");
    }

    /// <summary>What the sequences will be at most. A file of ids is used whole, whatever the options say.</summary>
    public static CollectionSize SizeOf(QuantizationOptions options, ModelConfig config)
    {
        if (!IsIds(options.Calibration))
            return new CollectionSize(TokensAsked(options), Math.Min(options.Context ?? DefaultContext, config.MaxPositions));
        CalibrationSet ids = CalibrationSet.Load(options.Calibration[0]);
        return new CollectionSize(ids.Tokens, ids.Sequences.Max(sequence => sequence.Length));
    }

    /// <summary>The sequences: loaded if they were made before, made otherwise.</summary>
    public CalibrationSet Run(DecoderModel model, CancellationToken cancellationToken)
    {
        string path = run.ArtefactPath(IdsFile);
        if (run.IsFinished(IdsFile))
            return CalibrationSet.Load(path);
        int context = Math.Min(options.Context ?? DefaultContext, model.Config.MaxPositions);
        CalibrationSet calibration = IsIds(options.Calibration) ? CalibrationSet.Load(options.Calibration[0])
            : IsSelf(options.Calibration) ? Sample(model, context, cancellationToken) : Pack(model, context);
        calibration.Save(path);
        run.Finish(IdsFile);
        return calibration;
    }

    /// <summary>What was used, if the sequences exist.</summary>
    public CalibrationSet? Existing => run.IsFinished(IdsFile) ? CalibrationSet.Load(run.ArtefactPath(IdsFile)) : null;

    private CalibrationSet Sample(DecoderModel model, int context, CancellationToken cancellationToken)
    {
        int tokens = TokensAsked(options);
        long start = Stopwatch.GetTimestamp();
        var report = progress is null ? null : new Relay(written =>
            progress.Report(new QuantizationProgress("calibration", (double)written / tokens, -1, model.Config.Layers, null, null, Stopwatch.GetElapsedTime(start))));
        (IReadOnlyList<int[]> sequences, int documents) = SelfCalibration.Sample(model, tokens, context, options.Seed, report, cancellationToken);
        return CalibrationSet.Create(sequences, string.Create(CultureInfo.InvariantCulture, $"{SelfPrefix}{tokens}"), documents);
    }

    private CalibrationSet Pack(DecoderModel model, int context)
    {
        Tokenizer tokenizer = Tokenizer.Load(options.Model, options.Warn);
        if (tokenizer.VocabularySize > model.Config.VocabularySize)
            throw new InvalidDataException($"{tokenizer.Path}: has ids up to {tokenizer.VocabularySize - 1}, the model {model.Config.VocabularySize} rows of embedding; tokenizer and model do not belong together");
        return CalibrationPacker.Pack(tokenizer, CalibrationText.ReadDocuments(options.Calibration), string.Join(", ", options.Calibration.Select(Path.GetFileName)), context, options.Tokens, options.Seed);
    }

    private sealed class Relay(Action<long> report) : IProgress<long>
    {
        public void Report(long value) => report(value);
    }
}
