using System.Diagnostics;
using System.Security.Cryptography;
using FastKron.Native.Compute;
using FastKron.Native.Evaluation.Tasks;
using FastKron.Native.Formats;
using FastKron.Native.Generation;
using FastKron.Native.Models;
using FastKron.Native.Reports;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Evaluation;

/// <summary>Measures a model, alone or against its original: perplexity, KL divergence, zero-shot tasks.</summary>
/// <remarks>
/// Texts and tasks are read, checked and encoded before any weight is loaded. The original is measured first and then freed but for its head, so that the two
/// models need not fit together.
/// </remarks>
public sealed class ModelEvaluation
{
    private readonly EvaluationOptions _options;
    private readonly IBackend _backend;
    private readonly Tokenizer _tokenizer;
    private readonly IProgress<EvaluationProgress>? _progress;
    private readonly List<string> _warnings = [];

    private ModelEvaluation(EvaluationOptions options, IBackend backend, IProgress<EvaluationProgress>? progress)
    {
        (_options, _backend, _progress) = (options, backend, progress);
        _tokenizer = Tokenizer.Load(options.Original ?? options.Model, Warn);
    }

    /// <summary>Runs the measurement.</summary>
    /// <param name="options">What to measure.</param>
    /// <param name="backend">Where.</param>
    /// <param name="progress">Where it stands.</param>
    /// <param name="cancellationToken">Checked before every batch.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="InvalidDataException">A bad model, text or task file.</exception>
    /// <exception cref="ArithmeticException">A model whose log-likelihoods are NaN.</exception>
    public static EvaluationReport Run(
        EvaluationOptions options, IBackend backend, IProgress<EvaluationProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        options.Check();
        using ModelFolder folder = ModelFolder.Open(options.Model);
        using ModelFolder? original = options.Original is null ? null : ModelFolder.Open(options.Original);
        if (original is not null && original.Config.VocabularySize != folder.Config.VocabularySize)
            throw new InvalidDataException($"vocabularies differ: {original.Config.VocabularySize} in {original.Path}, {folder.Config.VocabularySize} in {folder.Path}; they are of different models");
        return new ModelEvaluation(options, backend, progress).Run(folder, original, cancellationToken);
    }

    private EvaluationReport Run(ModelFolder folder, ModelFolder? originalFolder, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        TextArgument[] arguments = [.. _options.Texts.Select(TextArgument.Parse)];
        var texts = new TextMeasure?[arguments.Length];
        DecoderModel? original = null;
        try
        {
            for (int t = 0; t < texts.Length; t++)
                texts[t] = arguments[t].Form == TextForm.Self ? null : TextMeasure.Read(arguments[t], _options, folder.Config, _tokenizer, Warn);
            TaskMeasure[] tasks = [.. Tasks(folder.Config)];
            MeasuredModel measuredModel = MeasuredModel.Describe(folder);
            MeasuredModel? originalModel = originalFolder is null ? null : MeasuredModel.Describe(originalFolder);
            string? originalText = null;
            if (originalFolder is not null)
            {
                original = DecoderModel.Load(originalFolder, _backend);
                Write(arguments, texts, original, cancellationToken);
                foreach (TextMeasure? text in texts)
                    text!.ReadOriginal(original, TextScorer(original), Stage($"original, {text.Name}"), cancellationToken);
                originalText = Continue(original, cancellationToken);
                original.ReleaseBlocks();
            }
            using DecoderModel model = DecoderModel.Load(folder, _backend);
            Write(arguments, texts, model, cancellationToken);
            TextReport[] textReports = [.. texts.Select(text => text!.Measure(model, TextScorer(model), original, Stage(text.Name), cancellationToken))];
            var scorer = new SequenceScorer(model, _options.BatchTokens);
            (TaskReport Report, IReadOnlyList<TaskRow> Rows)[] taskResults = [.. tasks.Select(task => task.Run(scorer.Score, Stage(task.Name), cancellationToken))];
            var report = new EvaluationReport
            {
                Engine = Engine.Version,
                Backend = _backend.Name,
                ActivationType = _backend.ActivationType.ToString(),
                Model = measuredModel,
                Original = originalModel,
                TokenizerHash = Convert.ToHexStringLower(SHA256.HashData(GzipFile.ReadAllBytes(_tokenizer.Path))),
                Texts = textReports,
                Tasks = [.. taskResults.Select(t => t.Report)],
                BatchTokens = _options.BatchTokens ?? _backend.BatchTokens,
                Limit = _options.Limit,
                Seed = _options.Seed,
                Prompt = _options.Prompt,
                OriginalText = originalText,
                MeasuredText = Continue(model, cancellationToken),
                Warnings = [.. _warnings],
                Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds,
            };
            return _options.Output is null ? report : EvaluationResult.Write(_options.Output, report, [.. taskResults.Select(t => t.Rows)]);
        }
        finally
        {
            original?.Dispose();
            foreach (TextMeasure? text in texts)
                text?.Dispose();
        }
    }

    private IEnumerable<TaskMeasure> Tasks(ModelConfig config)
    {
        foreach (string argument in _options.Tasks)
        {
            TaskFile file = TaskFile.Find(argument, _options.TaskFolder);
            if (file.UnknownSplit is { } unknown)
                Warn(unknown);
            foreach (BosMode mode in _options.BosModes)
                yield return new TaskMeasure(file, new ChoiceEncoder(_tokenizer, mode, TextMeasure.StartToken(_tokenizer, config), config.MaxPositions), _options.Limit);
        }
    }

    // Texts that the first model loaded writes itself.
    private void Write(TextArgument[] arguments, TextMeasure?[] texts, DecoderModel model, CancellationToken cancellationToken)
    {
        for (int t = 0; t < texts.Length; t++)
            texts[t] ??= TextMeasure.Sample(arguments[t], _options, model, _tokenizer, cancellationToken);
    }

    // Perplexities, like divergences, are over the ids that the tokenizer has.
    private SequenceScorer TextScorer(DecoderModel model) => new(model, _options.BatchTokens, Math.Min(_tokenizer.VocabularySize, model.Config.VocabularySize));

    private string? Continue(DecoderModel model, CancellationToken cancellationToken)
    {
        if (_options.Prompt is null)
            return null;
        IReadOnlyList<int> prompt = _tokenizer.Encode(_options.Prompt, addSpecialTokens: true);
        GenerationResult result = new TextGenerator(model, _tokenizer.VocabularySize).Generate(prompt, new GenerationOptions { MaxTokens = _options.PromptTokens }, cancellationToken: cancellationToken);
        return _tokenizer.Decode([.. prompt, .. result.Tokens], skipSpecialTokens: true);
    }

    private StageProgress? Stage(string name) => _progress is null ? null : new StageProgress(_progress, name);

    private void Warn(string message)
    {
        _warnings.Add(message);
        _options.Warn?.Invoke(message);
    }

    private sealed class StageProgress(IProgress<EvaluationProgress> target, string name) : IProgress<double>
    {
        private readonly long _start = Stopwatch.GetTimestamp();

        public void Report(double value) => target.Report(new EvaluationProgress(name, value, Stopwatch.GetElapsedTime(_start)));
    }
}
