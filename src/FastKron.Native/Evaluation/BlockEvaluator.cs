using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Models;

namespace FastKron.Native.Evaluation;

/// <summary>Block perplexity of a model and, given the original, its distance from it (evaluation.md sections 4 and 6).</summary>
/// <remarks>Both models are resident; logits exist for one slice of rows at a time. Losses are float32, sums float64.</remarks>
public sealed class BlockEvaluator
{
    // Tokens of one forward pass, and rows of logits that exist at once.
    private const int BatchTokens = 2048;
    private const int LogitRows = 512;

    private readonly EvaluationText _text;
    private readonly int _length;
    private readonly int _vocabulary;

    /// <summary>Cuts a text into blocks.</summary>
    /// <param name="text">Encoded text.</param>
    /// <param name="blockLength">Tokens of a block, at least 2.</param>
    /// <param name="maxBlocks">Use only the first so many blocks; null for all. The tail shorter than a block is dropped.</param>
    /// <param name="vocabulary">Ids that the tokenizer knows; logits beyond are padding and dropped.</param>
    /// <exception cref="InvalidDataException">The text is shorter than one block.</exception>
    public BlockEvaluator(EvaluationText text, int blockLength, int? maxBlocks, int vocabulary)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(blockLength, 2);
        (_text, _length, _vocabulary) = (text, blockLength, vocabulary);
        int available = text.Ids.Count / blockLength;
        if (available == 0)
            throw new InvalidDataException($"{text.Name}: {text.Ids.Count} tokens are less than one block of {blockLength}; use a longer text or a shorter --block");
        Blocks = Math.Min(available, maxBlocks ?? int.MaxValue);
    }

    /// <summary>Number of blocks.</summary>
    public int Blocks { get; }

    /// <summary>Perplexity of one model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="progress">Receives the fraction done.</param>
    /// <param name="cancellationToken">Checked before every batch.</param>
    public PerplexitySummary Perplexity(DecoderModel model, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        float[] losses = new float[Blocks * (_length - 1)];
        IBackend backend = model.Backend;
        using Tensor logits = backend.Allocate(DType.F32, LogitRows, model.Config.VocabularySize), rowLosses = backend.Allocate(DType.F32, 1, LogitRows);
        void Consume(Tensor[] hidden, Tensor labels, int row, int rows)
        {
            Tensor slice = logits.SliceRows(0, rows), output = rowLosses.SliceColumns(0, rows);
            model.Logits(hidden[0], slice);
            backend.CrossEntropy(slice.SliceColumns(0, _vocabulary), labels, output);
            backend.Download<float>(output, losses.AsSpan(row, rows));
        }
        Run([model], Consume, progress, cancellationToken);
        return Summarise(BlockMeans(losses));
    }

    /// <summary>Perplexity of both models and the candidate's distance from the original.</summary>
    /// <param name="original">The model before quantization.</param>
    /// <param name="candidate">The quantized model, on the same backend.</param>
    /// <param name="progress">Receives the fraction done.</param>
    /// <param name="cancellationToken">Checked before every batch.</param>
    public (PerplexitySummary Original, PerplexitySummary Candidate, DivergenceSummary Divergence) Compare(
        DecoderModel original, DecoderModel candidate, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        if (original.Config.VocabularySize != candidate.Config.VocabularySize)
            throw new InvalidDataException($"vocabularies differ: {original.Config.VocabularySize} in the original, {candidate.Config.VocabularySize} in the quantized model; they are of different models");
        float[] table = new float[Blocks * (_length - 1) * LogitStatistics.Count];
        IBackend backend = original.Backend;
        int columns = original.Config.VocabularySize;
        using Tensor first = backend.Allocate(DType.F32, LogitRows, columns), second = backend.Allocate(DType.F32, LogitRows, columns);
        using Tensor statistics = backend.Allocate(DType.F32, LogitRows, LogitStatistics.Count);
        void Consume(Tensor[] hidden, Tensor labels, int row, int rows)
        {
            Tensor a = first.SliceRows(0, rows), b = second.SliceRows(0, rows), output = statistics.SliceRows(0, rows);
            original.Logits(hidden[0], a);
            candidate.Logits(hidden[1], b);
            backend.CompareLogits(a.SliceColumns(0, _vocabulary), b.SliceColumns(0, _vocabulary), labels, output);
            backend.Download<float>(output, table.AsSpan(row * LogitStatistics.Count, rows * LogitStatistics.Count));
        }
        Run([original, candidate], Consume, progress, cancellationToken);
        float[] originalLosses = Column(table, LogitStatistics.ReferenceLoss), candidateLosses = Column(table, LogitStatistics.CandidateLoss);
        PerplexitySummary before = Summarise(BlockMeans(originalLosses)), after = Summarise(BlockMeans(candidateLosses));
        return (before, after, Summarise(table, originalLosses, candidateLosses, before, after));
    }

    // Forwards blocks in batches through every model and hands out slices of final hidden states: positions 0 … length−2 of each block, in order.
    private void Run(DecoderModel[] models, Action<Tensor[], Tensor, int, int> consume, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        IBackend backend = models[0].Backend;
        int perBatch = Math.Max(1, BatchTokens / _length);
        using Tensor labels = backend.Allocate(DType.I32, 1, LogitRows);
        for (int block = 0; block < Blocks; block += perBatch)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int count = Math.Min(perBatch, Blocks - block);
            int[][] sequences = [.. Enumerable.Range(block, count).Select(Block)];
            using PackedBatch batch = PackedBatch.Create(backend, models[0].Config, sequences);
            Tensor[] hidden = [.. models.Select(model => backend.Allocate(backend.ActivationType, batch.Tokens, model.Config.HiddenSize))];
            try
            {
                for (int i = 0; i < models.Length; i++)
                    models[i].Forward(batch, hidden[i]);
                for (int b = 0; b < count; b++)
                {
                    for (int position = 0; position < _length - 1; position += LogitRows)
                    {
                        int rows = Math.Min(LogitRows, _length - 1 - position);
                        Tensor targets = labels.SliceColumns(0, rows);
                        backend.Upload<int>(sequences[b].AsSpan(position + 1, rows), targets);
                        Tensor[] slices = [.. hidden.Select(h => h.SliceRows(b * _length + position, rows))];
                        consume(slices, targets, (block + b) * (_length - 1) + position, rows);
                    }
                }
            }
            finally
            {
                foreach (Tensor tensor in hidden)
                    tensor.Dispose();
            }
            progress?.Report((double)(block + count) / Blocks);
        }
    }

    private int[] Block(int index)
    {
        int[] ids = new int[_length];
        for (int i = 0; i < _length; i++)
            ids[i] = _text.Ids[index * _length + i];
        return ids;
    }

    private double[] BlockMeans(float[] values)
    {
        double[] means = new double[Blocks];
        for (int b = 0; b < Blocks; b++)
            means[b] = Statistics.Mean(values.AsSpan(b * (_length - 1), _length - 1));
        return means;
    }

    private PerplexitySummary Summarise(double[] blocks)
    {
        double perplexity = Math.Exp(Statistics.Mean(blocks));
        return new PerplexitySummary
        {
            Protocol = $"block/{_text.Name}/{_length}",
            Perplexity = perplexity,
            StandardError = perplexity * Statistics.StandardError(blocks),
            Blocks = blocks,
        };
    }

    private DivergenceSummary Summarise(float[] table, float[] originalLosses, float[] candidateLosses, PerplexitySummary before, PerplexitySummary after)
    {
        float[] divergence = Column(table, LogitStatistics.Divergence);
        double[] blocks = BlockMeans(divergence);
        double[] lossChange = [.. after.Blocks.Zip(before.Blocks, (a, b) => a - b)];
        float[] probabilityChange = new float[divergence.Length];
        for (int i = 0; i < probabilityChange.Length; i++)
            probabilityChange[i] = MathF.Exp(-candidateLosses[i]) - MathF.Exp(-originalLosses[i]);
        Array.Sort(divergence);
        return new DivergenceSummary
        {
            Protocol = $"kl/block/{_length}",
            Mean = Statistics.Mean(blocks),
            StandardError = Statistics.StandardError(blocks),
            ReverseMean = Statistics.Mean(Column(table, LogitStatistics.ReverseDivergence)),
            Median = Statistics.Quantile(divergence, 0.5),
            Maximum = divergence[^1],
            Quantiles = [.. DivergenceSummary.Levels.Select(level => Statistics.Quantile(divergence, level))],
            TopAgreement = Statistics.Mean(Column(table, LogitStatistics.TopAgreement)),
            TopFiveHit = Statistics.Mean(Column(table, LogitStatistics.TopFiveHit)),
            ProbabilityChange = Statistics.Mean(probabilityChange),
            ProbabilityChangeRms = Statistics.RootMeanSquare(probabilityChange),
            LogPerplexityRatio = Statistics.Mean(lossChange),
            LogPerplexityRatioError = Statistics.StandardError(lossChange),
            LossCorrelation = Statistics.Correlation(originalLosses, candidateLosses),
            Blocks = blocks,
        };
    }

    private static float[] Column(float[] table, int column)
    {
        float[] values = new float[table.Length / LogitStatistics.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = table[i * LogitStatistics.Count + column];
        return values;
    }
}
