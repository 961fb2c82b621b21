using System.Diagnostics;
using FastKron.Native.Compute;
using FastKron.Native.Formats;
using FastKron.Native.Generation;
using FastKron.Native.Models;
using FastKron.Native.Reports;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Evaluation;

/// <summary>What to measure.</summary>
public sealed record EvaluationOptions
{
    /// <summary>Folder of the model to measure, dense or quantized.</summary>
    public required string Model { get; init; }

    /// <summary>Folder of the original for the distance from it; null for perplexity alone.</summary>
    public string? Original { get; init; }

    /// <summary>Text file, <c>FILE:rows</c>, or <c>self:TOKENS</c> for text that the original (without one: the model) writes itself.</summary>
    public required string Text { get; init; }

    /// <summary>Tokens of a block; null for min(2048, context of the model).</summary>
    public int? BlockLength { get; init; }

    /// <summary>Use only the first so many blocks; null for all.</summary>
    public int? MaxBlocks { get; init; }

    /// <summary>A text that the models continue greedily; null for none.</summary>
    public string? Prompt { get; init; }

    /// <summary>Most tokens of a continuation.</summary>
    public int PromptTokens { get; init; } = 40;

    /// <summary>Is told what stops nothing but should be known, such as text that the tokenizer cannot hold.</summary>
    public Action<string>? Warn { get; init; }

    /// <summary>Seed of <c>self:</c> text; another than that of a calibration by <c>self:</c>, or both are the same text.</summary>
    public ulong Seed { get; init; } = 1;
}

/// <summary>Measures a model, alone or against its original.</summary>
public static class ModelEvaluation
{
    /// <summary>Runs the measurement.</summary>
    /// <exception cref="InvalidDataException">A bad model or text.</exception>
    public static EvaluationReport Run(EvaluationOptions options, IBackend backend, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        long start = Stopwatch.GetTimestamp();
        using ModelFolder folder = ModelFolder.Open(options.Model);
        using DecoderModel model = DecoderModel.Load(folder, backend);
        using ModelFolder? originalFolder = options.Original is null ? null : ModelFolder.Open(options.Original);
        using DecoderModel? original = originalFolder is null ? null : DecoderModel.Load(originalFolder, backend);
        Tokenizer tokenizer = Tokenizer.Load(options.Original ?? options.Model, options.Warn);
        EvaluationText text = EvaluationText.Resolve(options.Text, tokenizer, original ?? model, options.Seed, cancellationToken);
        int length = options.BlockLength ?? Math.Min(2048, model.Config.MaxPositions);
        if (length > model.Config.MaxPositions)
            throw new ArgumentException($"--block {length} exceeds the model's context of {model.Config.MaxPositions}");
        var evaluator = new BlockEvaluator(text, length, options.MaxBlocks, Math.Min(tokenizer.VocabularySize, model.Config.VocabularySize));

        PerplexitySummary? before = null;
        DivergenceSummary? divergence = null;
        PerplexitySummary after;
        if (original is null)
            after = evaluator.Perplexity(model, progress, cancellationToken);
        else
            (before, after, divergence) = evaluator.Compare(original, model, progress, cancellationToken);
        return new EvaluationReport
        {
            Text = text.Name,
            TextHash = text.Hash,
            Tokens = text.Ids.Count,
            Original = before,
            Measured = after,
            Divergence = divergence,
            Prompt = options.Prompt,
            OriginalText = options.Prompt is null || original is null ? null : Continue(original, tokenizer, options, cancellationToken),
            MeasuredText = options.Prompt is null ? null : Continue(model, tokenizer, options, cancellationToken),
            Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds,
        };
    }

    private static string Continue(DecoderModel model, Tokenizer tokenizer, EvaluationOptions options, CancellationToken cancellationToken)
    {
        IReadOnlyList<int> prompt = tokenizer.Encode(options.Prompt!, addSpecialTokens: true);
        GenerationResult result = new TextGenerator(model, tokenizer.VocabularySize).Generate(prompt, new GenerationOptions { MaxTokens = options.PromptTokens }, cancellationToken: cancellationToken);
        return tokenizer.Decode([.. prompt, .. result.Tokens], skipSpecialTokens: true);
    }
}
