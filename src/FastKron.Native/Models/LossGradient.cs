using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Models;

/// <summary>Next-token cross-entropy of a model's final hidden states and its gradient, in slices of rows, so that the logits of a large vocabulary never exist whole.</summary>
public static class LossGradient
{
    /// <summary>gradient ← scale · ∂(Σ_t loss_t)/∂hidden with given labels.</summary>
    /// <param name="model">The model.</param>
    /// <param name="hidden">(T, hidden size): input of the final norm, as <see cref="DecoderModel.Forward"/> leaves it.</param>
    /// <param name="labels">(1, T) I32; negative: the token has no loss. True labels: <see cref="PackedBatch.NextTokens"/>.</param>
    /// <param name="scale">For a mean, 1 / number of labels.</param>
    /// <param name="gradient">(T, hidden size), activation type. Overwritten.</param>
    /// <param name="losses">(1, T) F32, out: unscaled losses in nats, 0 without a label; null if not wanted.</param>
    public static void FromLabels(DecoderModel model, Tensor hidden, Tensor labels, float scale, Tensor gradient, Tensor? losses = null) =>
        Run(model, hidden, labels, sample: null, scale, gradient, losses);

    /// <summary>The same with a label drawn from the model's own distribution at every token, the last ones of the sequences included.</summary>
    /// <param name="model">The model.</param>
    /// <param name="hidden">(T, hidden size): input of the final norm.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <param name="firstToken">Number of the first token among all tokens of the calibration: token t draws with Philox item firstToken + t.</param>
    /// <param name="labels">(1, T) I32, out: the labels drawn; see <see cref="RequireDrawn"/>.</param>
    /// <param name="scale">For a mean, 1/T.</param>
    /// <param name="gradient">(T, hidden size), activation type. Overwritten.</param>
    /// <param name="losses">(1, T) F32, out: unscaled losses in nats; null if not wanted.</param>
    public static void FromSampledLabels(
        DecoderModel model, Tensor hidden, ulong seed, uint firstToken, Tensor labels, float scale, Tensor gradient, Tensor? losses = null) =>
        Run(model, hidden, labels, (seed, firstToken), scale, gradient, losses);

    /// <summary>losses ← the cross-entropy of every token in nats, 0 without a label.</summary>
    /// <param name="model">The model.</param>
    /// <param name="hidden">(T, hidden size): input of the final norm.</param>
    /// <param name="labels">(1, T) I32; negative: no loss.</param>
    /// <param name="losses">(1, T) F32, out.</param>
    public static void Losses(DecoderModel model, Tensor hidden, Tensor labels, Tensor losses) =>
        Run(model, hidden, labels, sample: null, scale: 0, gradient: null, losses);

    /// <summary>Refuses labels that could not be drawn. Drawing itself does not look at them, which would mean waiting for the device.</summary>
    /// <param name="labels">Labels on the host.</param>
    /// <exception cref="ArithmeticException">Some are −1: the token's logits hold NaN or no number above −∞.</exception>
    public static void RequireDrawn(ReadOnlySpan<int> labels)
    {
        int bad = labels.IndexOf(-1);
        if (bad >= 0)
            throw new ArithmeticException($"token {bad}: its logits hold NaN or no number above -infinity, so no label can be drawn; the model's weights are damaged");
    }

    private static void Run(
        DecoderModel model, Tensor hidden, Tensor labels, (ulong Seed, uint FirstToken)? sample, float scale, Tensor? gradient, Tensor? losses)
    {
        for (int row = 0; row < hidden.Rows; row += model.LogitRows)
        {
            int rows = Math.Min(model.LogitRows, hidden.Rows - row);
            Tensor slice = hidden.SliceRows(row, rows), sliceLabels = labels.SliceColumns(row, rows), logits = model.LogitScratch(rows);
            model.Logits(slice, logits);
            if (sample is { } draw)
                model.Backend.SampleLabels(logits, draw.Seed, RandomPurpose.Labels, draw.FirstToken + (uint)row, sliceLabels);
            if (losses is not null)
                model.Backend.CrossEntropy(logits, sliceLabels, losses.SliceColumns(row, rows));
            if (gradient is null)
                continue;
            model.Backend.CrossEntropyBackward(logits, sliceLabels, scale);
            model.LogitsBackward(slice, logits, gradient.SliceRows(row, rows));
        }
    }
}
