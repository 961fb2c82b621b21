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

/// <summary>Measures models, alone or against their original: perplexity, KL divergence, zero-shot tasks.</summary>
/// <remarks>
/// Texts and tasks are read, checked and encoded before any weight is loaded. The original is measured first and then freed but for its head, so that the two
/// models need not fit together; any number of models can be measured against it.
/// </remarks>
public sealed class ModelEvaluation : IDisposable
{
    private readonly EvaluationOptions _options;
    private readonly IBackend _backend;
    private readonly Tokenizer _tokenizer;
    private readonly IProgress<EvaluationProgress>? _progress;
    private readonly List<string> _warnings = [];
    private readonly TextArgument[] _arguments;
    private readonly TextMeasure?[] _texts;      // null: waits for a model that writes it
    private readonly string _tokenizerHash;
    private TaskMeasure[] _tasks = [];
    private DecoderModel? _original;
    private string? _originalText;

    private ModelEvaluation(EvaluationOptions options, IBackend backend, IProgress<EvaluationProgress>? progress)
    {
        (_options, _backend, _progress) = (options, backend, progress);
        _tokenizer = Tokenizer.Load(options.Original ?? options.Model, Warn);
        _tokenizerHash = Convert.ToHexStringLower(SHA256.HashData(GzipFile.ReadAllBytes(_tokenizer.Path)));
        _arguments = [.. options.Texts.Select(TextArgument.Parse)];
        _texts = new TextMeasure?[_arguments.Length];
    }

    /// <summary>The original; null where there is none.</summary>
    public MeasuredModel? Original { get; private set; }

    /// <summary>Measures one folder.</summary>
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
        long start = Stopwatch.GetTimestamp();
        options.Check();
        using ModelFolder folder = ModelFolder.Open(options.Model);
        if (options.Output is not null)
            Directory.Delete(EvaluationResult.Stage(options.Output));       // a place that cannot be written is found before anything is measured
        using ModelEvaluation evaluation = Prepare(options, backend, folder.Config, progress, cancellationToken);
        MeasuredModel measured = MeasuredModel.Describe(folder);
        using DecoderModel model = DecoderModel.Load(folder, backend);
        (EvaluationReport report, IReadOnlyList<IReadOnlyList<TaskRow>> rows) = evaluation.Measure(model, measured, cancellationToken: cancellationToken);
        report = report with { Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds };
        return options.Output is null ? report : EvaluationResult.Write(options.Output, report, rows);
    }

    /// <summary>Reads, encodes and cuts texts and tasks, and forgets them: for a run that measures at its end, so that what is wrong with them is found at its beginning.</summary>
    /// <param name="options">What will be measured; of the folders only that of the tokenizer is read.</param>
    /// <param name="backend">Where.</param>
    /// <param name="config">Of the models that will be measured.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="InvalidDataException">A bad tokenizer, text or task file.</exception>
    public static void CheckInputs(EvaluationOptions options, IBackend backend, ModelConfig config)
    {
        options.Check();
        using var evaluation = new ModelEvaluation(options with { Warn = null }, backend, progress: null);
        evaluation.ReadFiles(config);
        if (options.Prompt is { } prompt)
        {
            int tokens = evaluation._tokenizer.Encode(prompt, addSpecialTokens: true).Length;
            if (tokens == 0 || tokens + options.PromptTokens > config.MaxPositions)
                throw new ArgumentException($"--prompt of {tokens} tokens: expected 1 to {config.MaxPositions - options.PromptTokens}, so that {options.PromptTokens} more fit into the model's context");
        }
    }

    /// <summary>Reads texts and tasks, and measures the original.</summary>
    /// <param name="options">What to measure.</param>
    /// <param name="backend">Where.</param>
    /// <param name="config">Of the models that will be measured.</param>
    /// <param name="progress">Where this and every measurement stands.</param>
    /// <param name="cancellationToken">Checked before every batch.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="InvalidDataException">A bad original, text or task file, or an original of another vocabulary.</exception>
    public static ModelEvaluation Prepare(
        EvaluationOptions options, IBackend backend, ModelConfig config, IProgress<EvaluationProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        options.Check();
        using ModelFolder? original = options.Original is null ? null : ModelFolder.Open(options.Original);
        if (original is not null && original.Config.VocabularySize != config.VocabularySize)
            throw new InvalidDataException($"vocabularies differ: {original.Config.VocabularySize} in {original.Path}, {config.VocabularySize} in {options.Model}; they are of different models");
        var evaluation = new ModelEvaluation(options, backend, progress);
        try
        {
            evaluation.Read(config, original, cancellationToken);
            return evaluation;
        }
        catch
        {
            evaluation.Dispose();
            throw;
        }
    }

    /// <summary>Measures a model. Texts that are to be written by a model are written by the original, or else by the first model measured.</summary>
    /// <param name="model">The model, on the same backend.</param>
    /// <param name="measured">What it is.</param>
    /// <param name="withTasks">Whether it is measured on the tasks too.</param>
    /// <param name="cancellationToken">Checked before every batch.</param>
    /// <returns>The report, and the rows of each of its tasks.</returns>
    /// <exception cref="ArithmeticException">Log-likelihoods are NaN.</exception>
    public (EvaluationReport Report, IReadOnlyList<IReadOnlyList<TaskRow>> Rows) Measure(
        DecoderModel model, MeasuredModel measured, bool withTasks = true, CancellationToken cancellationToken = default)
    {
        long start = Stopwatch.GetTimestamp();
        Write(model, cancellationToken);
        TextReport[] texts = [.. _texts.Select(text => text!.Measure(model, TextScorer(model), _original, Stage(text.Name), cancellationToken))];
        var scorer = new SequenceScorer(model, _options.BatchTokens);
        (TaskReport Report, IReadOnlyList<TaskRow> Rows)[] tasks = [.. (withTasks ? _tasks : []).Select(task => task.Run(scorer.Score, Stage(task.Name), cancellationToken))];
        var report = new EvaluationReport
        {
            Engine = Engine.Version,
            Backend = _backend.Name,
            ActivationType = _backend.ActivationType.ToString(),
            Model = measured,
            Original = Original,
            TokenizerHash = _tokenizerHash,
            Texts = texts,
            Tasks = [.. tasks.Select(t => t.Report)],
            BatchTokens = _options.BatchTokens ?? _backend.BatchTokens,
            Limit = _options.Limit,
            Seed = _options.Seed,
            Prompt = _options.Prompt,
            OriginalText = _originalText,
            MeasuredText = Continue(model, cancellationToken),
            Warnings = [.. _warnings],
            Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds,
        };
        return (report, [.. tasks.Select(t => t.Rows)]);
    }

    /// <summary>Frees what remains of the original.</summary>
    public void Dispose()
    {
        _original?.Dispose();
        foreach (TextMeasure? text in _texts)
            text?.Dispose();
    }

    private void ReadFiles(ModelConfig config)
    {
        for (int t = 0; t < _texts.Length; t++)
            _texts[t] = _arguments[t].Form == TextForm.Self ? null : TextMeasure.Read(_arguments[t], _options, config, _tokenizer, Warn);
        _tasks = [.. Tasks(config)];
    }

    private void Read(ModelConfig config, ModelFolder? originalFolder, CancellationToken cancellationToken)
    {
        ReadFiles(config);
        if (originalFolder is null)
            return;
        Original = MeasuredModel.Describe(originalFolder);
        _original = DecoderModel.Load(originalFolder, _backend);
        Write(_original, cancellationToken);
        foreach (TextMeasure? text in _texts)
            text!.ReadOriginal(_original, TextScorer(_original), Stage($"original, {text.Name}"), cancellationToken);
        _originalText = Continue(_original, cancellationToken);
        _original.ReleaseBlocks();
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

    private void Write(DecoderModel model, CancellationToken cancellationToken)
    {
        for (int t = 0; t < _texts.Length; t++)
            _texts[t] ??= TextMeasure.Sample(_arguments[t], _options, model, _tokenizer, cancellationToken);
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
