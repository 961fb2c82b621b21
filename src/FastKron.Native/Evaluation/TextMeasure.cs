using System.Diagnostics;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Reports;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Evaluation;

/// <summary>One text of a measurement: perplexity by its protocol and, on blocks beside an original, the distance from it.</summary>
internal sealed class TextMeasure : IDisposable
{
    private const int BlockLength = 2048, WindowLength = 4096, ChunkLength = 512, YaqaLength = 8192;

    private readonly string _name, _hash, _bosMode;
    private readonly PerplexityMeasure? _perplexity;
    private readonly DivergenceMeasure? _divergence;
    private readonly long _tokens;
    private FinalStates? _states;
    private PerplexitySummary? _original;
    private double _originalSeconds;

    private TextMeasure(string name, string hash, string bosMode, PerplexityMeasure perplexity) => (_name, _hash, _bosMode, _perplexity, _tokens) = (name, hash, bosMode, perplexity, perplexity.Tokens);

    private TextMeasure(EvaluationText text, DivergenceMeasure divergence, int length)
        => (_name, _hash, _bosMode, _divergence, _tokens) = (text.Name, text.Hash, BosMode.Tokenizer.ToText(), divergence, (long)divergence.Blocks * length);

    /// <summary>Name for progress.</summary>
    public string Name => _name;

    /// <summary>Reads a file and cuts it.</summary>
    /// <param name="argument">Names a file.</param>
    /// <param name="options">Lengths and limits.</param>
    /// <param name="config">Context and vocabulary.</param>
    /// <param name="tokenizer">Encodes the text.</param>
    /// <param name="warn">Is told of a published text that has not the published number of ids.</param>
    /// <exception cref="InvalidDataException">No such file, not UTF-8, or too short.</exception>
    public static TextMeasure Read(TextArgument argument, EvaluationOptions options, ModelConfig config, Tokenizer tokenizer, Action<string> warn)
    {
        (string text, string hash) = argument.Read();
        int length = Length(argument.Form, options, config);
        if (argument.Form == TextForm.Pages)
            return new TextMeasure(argument.Name, hash, "prefix", PerplexityMeasure.OfPages(argument.Path, text, tokenizer, length, options.MaxBlocks, StartToken(tokenizer, config)));
        if (argument.Form == TextForm.C4)
            return Cut(C4Sample.Draw(argument.Path, text, hash, tokenizer, length, options.MaxBlocks), options, config, tokenizer, length);
        KnownText? known = KnownText.Find(hash);
        var encoded = new EvaluationText(known?.Name ?? argument.Name, hash, tokenizer.Encode(text, addSpecialTokens: true));
        if (known?.Complain(tokenizer, encoded.Ids.Count) is { } complaint)
            warn(complaint);
        if (argument.Form != TextForm.Gguf)
            return Cut(encoded, options, config, tokenizer, length);
        // Models whose tokenizer adds a BOS get one in every chunk.
        int? bos = tokenizer.Encode("", addSpecialTokens: true) is [int first, ..] ? first : null;
        return new TextMeasure(encoded.Name, hash, bos is null ? BosMode.None.ToText() : "chunk", PerplexityMeasure.OfChunks(encoded, length, options.MaxBlocks, bos));
    }

    /// <summary>Has a model write the text, and cuts it.</summary>
    public static TextMeasure Sample(TextArgument argument, EvaluationOptions options, DecoderModel model, Tokenizer tokenizer, CancellationToken cancellationToken)
        => Cut(EvaluationText.Sample(model, argument.Tokens, options.Seed, cancellationToken), options, model.Config, tokenizer, Length(argument.Form, options, model.Config));

    /// <summary>What stands before the first token of a text that begins with none: BOS, or EOS where there is none.</summary>
    /// <exception cref="NotSupportedException">The model has neither.</exception>
    public static int StartToken(Tokenizer tokenizer, ModelConfig config) => tokenizer.BosId ?? tokenizer.EosId ?? config.BosToken ?? config.EosTokens.Cast<int?>().FirstOrDefault()
        ?? throw new NotSupportedException($"{tokenizer.Path}: found neither a BOS nor an EOS token, expected one to begin a text with; name it in tokenizer_config.json");

    /// <summary>Measures the original, which may then go but for its head.</summary>
    public void ReadOriginal(DecoderModel original, SequenceScorer scorer, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        if (_divergence is null)
            _original = _perplexity!.Run(scorer, progress, cancellationToken);
        else
            _states = _divergence.Read(original, progress, cancellationToken);
        _originalSeconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Measures the model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="scorer">Of the same model.</param>
    /// <param name="original">The original, of which only the head is used; null where there is none.</param>
    /// <param name="progress">Receives the fraction done.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public TextReport Measure(DecoderModel model, SequenceScorer scorer, DecoderModel? original, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        DivergenceSummary? divergence = null;
        PerplexitySummary measured;
        if (_divergence is null)
            measured = _perplexity!.Run(scorer, progress, cancellationToken);
        else
            (_original, measured, divergence) = _divergence.Compare(original!, _states!, model, progress, cancellationToken);
        return new TextReport
        {
            Text = _name,
            TextHash = _hash,
            Tokens = _tokens,
            BosMode = _bosMode,
            Original = _original,
            Measured = measured,
            Divergence = divergence,
            Seconds = _originalSeconds + Stopwatch.GetElapsedTime(start).TotalSeconds,
        };
    }

    /// <summary>Frees the original's states.</summary>
    public void Dispose() => _states?.Dispose();

    private static TextMeasure Cut(EvaluationText text, EvaluationOptions options, ModelConfig config, Tokenizer tokenizer, int length) => options.Original is null
        ? new TextMeasure(text.Name, text.Hash, BosMode.Tokenizer.ToText(), PerplexityMeasure.OfBlocks(text, length, options.MaxBlocks))
        : new TextMeasure(text, new DivergenceMeasure(text, length, options.MaxBlocks, Math.Min(tokenizer.VocabularySize, config.VocabularySize), options.Divergence, options.BatchTokens), length);

    private static int Length(TextForm form, EvaluationOptions options, ModelConfig config)
    {
        if (options.BlockLength > config.MaxPositions)
            throw new ArgumentException($"--block {options.BlockLength} exceeds the model's context of {config.MaxPositions}");
        int length = form switch
        {
            TextForm.Pages => WindowLength,
            TextForm.Gguf => ChunkLength,
            _ => options.Original is not null && options.Divergence == DivergenceProtocol.Yaqa ? YaqaLength : BlockLength,
        };
        return options.BlockLength ?? Math.Min(length, config.MaxPositions);
    }
}
