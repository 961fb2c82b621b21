using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Generation;
using FastKron.Native.Models;

namespace FastKron.Native.Calibration;

/// <summary>Calibration text that the model writes itself, sampled at temperature 1: the model's own distribution, without any data.</summary>
/// <remarks>
/// Many sequences are written in lockstep. Each begins with the start token (BOS, or the first EOS of a model without BOS). After an EOS the next
/// document follows in the same sequence, behind a BOS if the model has one, and sees the earlier one, as in text packed for training.
/// The draws are those of <see cref="IBackend.SampleLabels"/> with <see cref="RandomPurpose.Calibration"/>; item = (group of
/// sequences · context + position) · <see cref="Lanes"/> + place in the group, so that a seed gives the same text on every machine with equal logits.
/// </remarks>
public static class SelfCalibration
{
    /// <summary>Sequences written in lockstep.</summary>
    public const int Lanes = 64;

    /// <summary>Samples sequences of <paramref name="context"/> tokens, the last one shorter, with exactly <paramref name="tokens"/> tokens together.</summary>
    /// <param name="model">The model.</param>
    /// <param name="tokens">Tokens wanted.</param>
    /// <param name="context">Tokens of a sequence, at most the model's context.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <param name="progress">Told the tokens written so far.</param>
    /// <param name="cancellationToken">Checked at every position.</param>
    /// <returns>The sequences and the number of documents begun in them.</returns>
    /// <exception cref="NotSupportedException">The model has neither a BOS nor an EOS token to begin with.</exception>
    public static (IReadOnlyList<int[]> Sequences, int Documents) Sample(
        DecoderModel model, long tokens, int context, ulong seed, IProgress<long>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tokens, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(context, 2);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(context, model.Config.MaxPositions);
        if (model.Config.BosToken is null && model.Config.EosTokens.Count == 0)
            throw new NotSupportedException("self calibration: config.json names neither bos_token_id nor eos_token_id to begin a text with; give calibration files");
        int length = (int)Math.Min(tokens, context), count = checked((int)((tokens + length - 1) / length));
        var sequences = new List<int[]>(count);
        for (int group = 0; sequences.Count < count; group++)
        {
            int[][] written = Write(model, Math.Min(Lanes, count - sequences.Count), length, seed, (uint)group * (uint)length, done =>
            {
                cancellationToken.ThrowIfCancellationRequested();
                progress?.Report(Math.Min(tokens, (long)sequences.Count * length + done));
            });
            sequences.AddRange(written);
        }
        sequences[^1] = sequences[^1][..(int)(tokens - (long)(count - 1) * length)];
        return (sequences, count + sequences.Sum(s => s.Skip(1).SkipLast(1).Count(model.Config.EosTokens.Contains)));
    }

    // Sequences of one group: position by position, all lanes at once.
    private static int[][] Write(DecoderModel model, int lanes, int length, ulong seed, uint firstStep, Action<long> onTokens)
    {
        IBackend backend = model.Backend;
        using var cache = new KeyValueCache(model, lanes, length);
        using Tensor hidden = backend.Allocate(backend.ActivationType, lanes, model.Config.HiddenSize);
        using Tensor drawn = backend.Allocate(DType.I32, 1, lanes);
        int start = StartToken(model.Config);
        int[][] sequences = [.. Enumerable.Range(0, lanes).Select(_ => new int[length])];
        int[] current = [.. Enumerable.Repeat(start, lanes)], next = new int[lanes];
        for (int position = 0; ; position++)
        {
            for (int lane = 0; lane < lanes; lane++)
                sequences[lane][position] = current[lane];
            onTokens((long)lanes * (position + 1));
            if (position + 1 == length)
                return sequences;
            using (PackedBatch batch = PackedBatch.Continue(backend, model.Config, cache, current))
                model.Forward(batch, hidden, cache);
            for (int lane = 0; lane < lanes; lane += model.LogitRows)
            {
                int rows = Math.Min(model.LogitRows, lanes - lane);
                Tensor logits = model.LogitScratch(rows);
                model.Logits(hidden.SliceRows(lane, rows), logits);
                uint item = (firstStep + (uint)position) * Lanes + (uint)lane;
                backend.SampleLabels(logits, seed, RandomPurpose.Calibration, item, drawn.SliceColumns(lane, rows));
            }
            backend.Download<int>(drawn, next);
            LossGradient.RequireDrawn(next);
            for (int lane = 0; lane < lanes; lane++)
                current[lane] = model.Config.BosToken is { } bos && bos != current[lane] && model.Config.EosTokens.Contains(current[lane]) ? bos : next[lane];
        }
    }

    private static int StartToken(ModelConfig config) => config.BosToken ?? config.EosTokens[0];
}
