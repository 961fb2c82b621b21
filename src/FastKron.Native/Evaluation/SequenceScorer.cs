using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Models;

namespace FastKron.Native.Evaluation;

/// <summary>Log-likelihoods of token sequences. What the sequences of a group begin with is computed once for all of them.</summary>
/// <param name="model">The model.</param>
/// <param name="batchTokens">Tokens of a forward pass, null for what the backend advises; a longer group is a pass of its own. Changes no score but by rounding.</param>
/// <param name="vocabulary">Ids that take part in the softmax; null for all that the model has.</param>
/// <remarks>Groups are packed without padding, longest first. Logits exist for one slice of rows at a time.</remarks>
public sealed class SequenceScorer(DecoderModel model, int? batchTokens = null, int? vocabulary = null)
{
    private readonly IBackend _backend = model.Backend;
    private readonly int _batchTokens = batchTokens ?? model.Backend.BatchTokens;
    private readonly int _columns = vocabulary ?? model.Config.VocabularySize;

    /// <summary>Scores all sequences of all groups.</summary>
    /// <param name="groups">Groups of sequences; none is empty.</param>
    /// <param name="greedy">Whether <see cref="SequenceScore.IsGreedy"/> is asked, which copies the logits to the host.</param>
    /// <param name="progress">Receives the fraction of the tokens done.</param>
    /// <param name="cancellationToken">Checked before every batch.</param>
    /// <returns>Scores in the order of groups and sequences.</returns>
    /// <exception cref="ArgumentException">A sequence is longer than the model's context, or an id outside the vocabulary.</exception>
    public SequenceScore[][] Score(
        IReadOnlyList<IReadOnlyList<ScoredSequence>> groups, bool greedy = false, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        int[] lengths = [.. groups.Select(g => g.Sum(s => s.Input.Length))];     // an upper bound: what is shared counts for each
        int[] order = [.. Enumerable.Range(0, groups.Count).OrderByDescending(g => lengths[g])];
        var scores = new SequenceScore[groups.Count][];
        double total = lengths.Sum(l => (double)l), done = 0;
        for (int next = 0; next < order.Length;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int first = next, tokens = 0;
            while (next < order.Length && (next == first || tokens + lengths[order[next]] <= _batchTokens))
                tokens += lengths[order[next++]];
            ScoreBatch(groups, order.AsSpan(first, next - first), greedy, scores);
            progress?.Report((done += tokens) / total);
        }
        return scores;
    }

    private void ScoreBatch(IReadOnlyList<IReadOnlyList<ScoredSequence>> groups, ReadOnlySpan<int> members, bool greedy, SequenceScore[][] scores)
    {
        var batchGroups = new List<IReadOnlyList<int[]>>(members.Length);
        var sequences = new List<ScoredSequence>();
        foreach (int member in members)
        {
            batchGroups.Add([.. groups[member].Select(s => s.Input)]);
            sequences.AddRange(groups[member]);
        }
        using PackedBatch batch = PackedBatch.CreateShared(_backend, model.Config, batchGroups, out IReadOnlyList<SharedRows> places);
        using Tensor hidden = _backend.Allocate(_backend.ActivationType, batch.Tokens, model.Config.HiddenSize);
        model.Forward(batch, hidden);

        int[] rows = [.. sequences.SelectMany((s, i) => Enumerable.Range(s.Input.Length - s.Targets.Length, s.Targets.Length).Select(p => places[i][p]))];
        int[] targets = [.. sequences.SelectMany(s => s.Targets)];
        bool[] isTop = new bool[targets.Length];
        float[] losses = Losses(hidden, rows, targets, greedy ? isTop : []);
        int row = 0;
        foreach (int member in members)
        {
            scores[member] = new SequenceScore[groups[member].Count];
            for (int s = 0; s < scores[member].Length; s++)
            {
                int count = groups[member][s].Targets.Length;
                double sum = 0;
                foreach (float loss in losses.AsSpan(row, count))
                    sum += loss;
                scores[member][s] = new SequenceScore(-sum, greedy && !isTop.AsSpan(row, count).Contains(false));
                row += count;
            }
        }
    }

    // Losses of targets[i] at row rows[i] of the hidden states; isTop, where not empty, tells whether it is that row's most likely id.
    private float[] Losses(Tensor hidden, int[] rows, int[] targets, bool[] isTop)
    {
        using Tensor indices = _backend.Allocate(DType.I32, 1, rows.Length), labels = _backend.Allocate(DType.I32, 1, rows.Length);
        using Tensor scored = _backend.Allocate(hidden.Type, rows.Length, hidden.Columns), losses = _backend.Allocate(DType.F32, 1, rows.Length);
        _backend.Upload<int>(rows, indices);
        _backend.Upload<int>(targets, labels);
        _backend.Embedding(indices, hidden, scored);
        float[] row = isTop.Length > 0 ? new float[_columns] : [];
        for (int start = 0; start < rows.Length; start += model.LogitRows)
        {
            int count = Math.Min(model.LogitRows, rows.Length - start);
            Tensor logits = model.LogitScratch(count), used = logits.SliceColumns(0, _columns);
            model.Logits(scored.SliceRows(start, count), logits);
            _backend.CrossEntropy(used, labels.SliceColumns(start, count), losses.SliceColumns(start, count));
            for (int i = 0; i < count && isTop.Length > 0; i++)
            {
                _backend.Download<float>(used.SliceRows(i, 1), row);
                isTop[start + i] = System.Numerics.Tensors.TensorPrimitives.IndexOfMax<float>(row) == targets[start + i];
            }
        }
        float[] values = new float[rows.Length];
        _backend.Download<float>(losses, values);
        return values;
    }
}
