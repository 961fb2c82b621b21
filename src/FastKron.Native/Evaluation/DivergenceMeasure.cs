using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Models;

namespace FastKron.Native.Evaluation;

/// <summary>Distance of a model from its original over the blocks of a text (evaluation.md section 6).</summary>
/// <remarks>
/// The models need not fit together: the original reads the text first and leaves its final hidden states on the host (tokens · hidden size elements); then
/// its blocks can go, and its head alone makes its logits again, slice by slice, beside the other model's. This is exact, since the head is applied to the
/// same states. Logits exist for one slice of rows at a time. Losses are float32, sums float64.
/// </remarks>
public sealed class DivergenceMeasure
{
    // Rows of logits that exist at once.
    private const int LogitRows = 512;

    private readonly EvaluationText _text;
    private readonly int _length, _vocabulary, _positions;
    private readonly DivergenceProtocol _protocol;
    private readonly int? _batchTokens;

    /// <summary>Cuts a text into blocks.</summary>
    /// <param name="text">Encoded text.</param>
    /// <param name="blockLength">Tokens of a block, at least 2.</param>
    /// <param name="maxBlocks">Use only the first so many blocks; null for all. The tail shorter than a block is dropped.</param>
    /// <param name="vocabulary">Ids that the tokenizer knows; logits beyond are padding, and dropped by <see cref="DivergenceProtocol.Block"/>.</param>
    /// <param name="protocol">Which positions and ids count.</param>
    /// <param name="batchTokens">Tokens of a forward pass, at least one block; null for what the backend advises.</param>
    /// <exception cref="InvalidDataException">The text is shorter than one block.</exception>
    public DivergenceMeasure(
        EvaluationText text, int blockLength, int? maxBlocks, int vocabulary, DivergenceProtocol protocol = DivergenceProtocol.Block, int? batchTokens = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(blockLength, 2);
        (_text, _length, _vocabulary, _protocol, _batchTokens) = (text, blockLength, vocabulary, protocol, batchTokens);
        _positions = protocol == DivergenceProtocol.Yaqa ? blockLength : blockLength - 1;
        Blocks = text.Blocks(blockLength, maxBlocks);
    }

    /// <summary>Number of blocks.</summary>
    public int Blocks { get; }

    /// <summary>Reads the text with the original.</summary>
    /// <param name="original">The model before quantization.</param>
    /// <param name="progress">Receives the fraction done.</param>
    /// <param name="cancellationToken">Checked before every batch.</param>
    /// <exception cref="InsufficientMemoryException">The states take more than half of the host's memory: bytes needed, bytes there.</exception>
    public FinalStates Read(DecoderModel original, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        long bytes = (long)Blocks * _length * original.Config.HiddenSize * original.Backend.ActivationType.Size(), allowed = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2;
        if (bytes > allowed)
            throw new InsufficientMemoryException($"{_text.Name}: the original's final states over {Blocks} blocks of {_length} take {bytes:N0} bytes of host memory, {allowed:N0} are allowed; give fewer --max-blocks");
        var batches = new List<Tensor>();
        try
        {
            Forward(original, (_, hidden) => batches.Add(ToHost(original.Backend, hidden)), progress, cancellationToken);
            return new FinalStates(batches);
        }
        catch
        {
            foreach (Tensor batch in batches)
                batch.Dispose();
            throw;
        }
    }

    /// <summary>Perplexity of both models and the candidate's distance from the original.</summary>
    /// <param name="original">The model before quantization; only its head is used.</param>
    /// <param name="states">What <see cref="Read"/> gave.</param>
    /// <param name="candidate">The quantized model, on the same backend.</param>
    /// <param name="progress">Receives the fraction done.</param>
    /// <param name="cancellationToken">Checked before every batch.</param>
    /// <exception cref="InvalidDataException">The models' vocabularies differ.</exception>
    public (PerplexitySummary Original, PerplexitySummary Candidate, DivergenceSummary Divergence) Compare(
        DecoderModel original, FinalStates states, DecoderModel candidate, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        int columns = original.Config.VocabularySize, used = _protocol == DivergenceProtocol.Yaqa ? columns : _vocabulary;
        if (columns != candidate.Config.VocabularySize)
            throw new InvalidDataException($"vocabularies differ: {columns} in the original, {candidate.Config.VocabularySize} in the quantized model; they are of different models");
        float[] table = new float[Blocks * _positions * LogitStatistics.Count];
        IBackend backend = original.Backend;
        using Tensor first = backend.Allocate(DType.F32, LogitRows, columns), second = backend.Allocate(DType.F32, LogitRows, columns);
        using Tensor statistics = backend.Allocate(DType.F32, LogitRows, LogitStatistics.Count), labels = backend.Allocate(DType.I32, 1, LogitRows);
        Forward(candidate, (batch, hidden) =>
        {
            using Tensor kept = backend.Allocate(backend.ActivationType, hidden.Rows, original.Config.HiddenSize);
            using IFence allocated = backend.Mark(), restored = backend.StartCopy(states.Batches[batch], kept, allocated);
            backend.Await(restored);
            for (int b = 0; b < hidden.Rows / _length; b++)
            {
                int block = batch * BlocksPerBatch(backend) + b;
                int[] targets = [.. _text.Block(block, _length)[1..], -1];
                for (int position = 0; position < _positions; position += LogitRows)
                {
                    int rows = Math.Min(LogitRows, _positions - position);
                    Tensor x = first.SliceRows(0, rows), y = second.SliceRows(0, rows), output = statistics.SliceRows(0, rows), target = labels.SliceColumns(0, rows);
                    backend.Upload<int>(targets.AsSpan(position, rows), target);
                    original.Logits(kept.SliceRows(b * _length + position, rows), x);
                    candidate.Logits(hidden.SliceRows(b * _length + position, rows), y);
                    backend.CompareLogits(x.SliceColumns(0, used), y.SliceColumns(0, used), target, output);
                    backend.Download<float>(output, table.AsSpan((block * _positions + position) * LogitStatistics.Count, rows * LogitStatistics.Count));
                }
            }
        }, progress, cancellationToken);
        return Summarise(table);
    }

    private static Tensor ToHost(IBackend backend, Tensor hidden)
    {
        Tensor host = backend.AllocateHost(hidden.Type, hidden.Rows, hidden.Columns);
        using IFence computed = backend.Mark(), copied = backend.StartCopy(hidden, host, computed);
        copied.Wait();
        return host;
    }

    // Hands out the final hidden states of each batch of blocks.
    private void Forward(DecoderModel model, Action<int, Tensor> consume, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        int perBatch = BlocksPerBatch(model.Backend);
        for (int block = 0, number = 0; block < Blocks; block += perBatch, number++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int count = Math.Min(perBatch, Blocks - block);
            using PackedBatch batch = PackedBatch.Create(model.Backend, model.Config, [.. Enumerable.Range(block, count).Select(b => _text.Block(b, _length))]);
            using Tensor hidden = model.Backend.Allocate(model.Backend.ActivationType, batch.Tokens, model.Config.HiddenSize);
            model.Forward(batch, hidden);
            consume(number, hidden);
            progress?.Report((double)(block + count) / Blocks);
        }
    }

    private int BlocksPerBatch(IBackend backend) => Math.Max(1, (_batchTokens ?? backend.BatchTokens) / _length);

    private (PerplexitySummary, PerplexitySummary, DivergenceSummary) Summarise(float[] table)
    {
        // The last position of a block has no label, so no loss.
        float[] originalLosses = Labelled(table, LogitStatistics.ReferenceLoss), candidateLosses = Labelled(table, LogitStatistics.CandidateLoss);
        string protocol = $"block/{_text.Name}/{_length}";
        PerplexitySummary before = PerplexitySummary.Of(protocol, _length, BlockMeans(originalLosses, _length - 1));
        PerplexitySummary after = PerplexitySummary.Of(protocol, _length, BlockMeans(candidateLosses, _length - 1));
        float[] divergence = Column(table, LogitStatistics.Divergence), probabilityChange = new float[originalLosses.Length];
        double[] blocks = BlockMeans(divergence, _positions), lossChange = [.. after.Blocks.Zip(before.Blocks, (a, b) => a - b)];
        for (int i = 0; i < probabilityChange.Length; i++)
            probabilityChange[i] = MathF.Exp(-candidateLosses[i]) - MathF.Exp(-originalLosses[i]);
        double change = Statistics.Mean(probabilityChange), changeRms = Statistics.RootMeanSquare(probabilityChange);
        Array.Sort(divergence);
        Array.Sort(probabilityChange);
        return (before, after, new DivergenceSummary
        {
            Protocol = _protocol == DivergenceProtocol.Yaqa ? "kl/yaqa" : $"kl/block/{_length}",
            Mean = Statistics.Mean(blocks),
            StandardError = Statistics.StandardError(blocks),
            ReverseMean = Statistics.Mean(Column(table, LogitStatistics.ReverseDivergence)),
            Median = Statistics.Quantile(divergence, 0.5),
            Maximum = divergence[^1],
            Quantiles = [.. DivergenceSummary.Levels.Select(level => Statistics.Quantile(divergence, level))],
            TopAgreement = Statistics.Mean(Column(table, LogitStatistics.TopAgreement)),
            TopFiveHit = Statistics.Mean(Column(table, LogitStatistics.TopFiveHit)),
            ProbabilityChange = change,
            ProbabilityChangeRms = changeRms,
            ProbabilityChangeQuantiles = [.. DivergenceSummary.Levels.Select(level => Statistics.Quantile(probabilityChange, level))],
            LogPerplexityRatio = Statistics.Mean(lossChange),
            LogPerplexityRatioError = Statistics.StandardError(lossChange),
            LossCorrelation = Statistics.Correlation(originalLosses, candidateLosses),
            Blocks = blocks,
        });
    }

    private double[] BlockMeans(float[] values, int perBlock)
    {
        double[] means = new double[Blocks];
        for (int b = 0; b < Blocks; b++)
            means[b] = Statistics.Mean(values.AsSpan(b * perBlock, perBlock));
        return means;
    }

    private float[] Labelled(float[] table, int column)
    {
        float[] values = Column(table, column);
        return _positions < _length ? values : [.. values.Where((_, i) => (i + 1) % _length != 0)];
    }

    private static float[] Column(float[] table, int column)
    {
        float[] values = new float[table.Length / LogitStatistics.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = table[i * LogitStatistics.Count + column];
        return values;
    }
}
