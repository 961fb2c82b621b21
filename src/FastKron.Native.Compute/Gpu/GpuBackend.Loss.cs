using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Gpu;

public sealed unsafe partial class GpuBackend
{
    // kernels/loss.cu: one block a row.
    private const int LossThreads = 512, LossPackElements = 8;

    /// <inheritdoc/>
    public void CrossEntropy(Tensor logits, Tensor labels, Tensor losses)
    {
        Enter();
        TransformerArguments.CrossEntropy(onHost: false, logits, labels, losses);
        if (logits.Rows == 0)
            return;
        var args = new CrossEntropyArgs(losses.Address, logits.Address, labels.Address, (nuint)logits.Stride, logits.Columns, WholePacks(logits));
        Kernel("loss", Typed(logits.Type, "cross_entropy_f32", "cross_entropy_bf16")).Launch(_stream, logits.Rows, LossThreads, args);
    }

    /// <inheritdoc/>
    public void CrossEntropyBackward(Tensor logits, Tensor labels, float scale)
    {
        Enter();
        TransformerArguments.CrossEntropyBackward(onHost: false, logits, labels);
        if (logits.Rows == 0)
            return;
        var args = new CrossEntropyBackwardArgs(logits.Address, labels.Address, (nuint)logits.Stride, logits.Columns, scale, WholePacks(logits));
        Kernel("loss", Typed(logits.Type, "cross_entropy_backward_f32", "cross_entropy_backward_bf16")).Launch(_stream, logits.Rows, LossThreads, args);
    }

    /// <inheritdoc/>
    public void SampleLabels(Tensor logits, ulong seed, RandomPurpose stream, uint firstToken, Tensor labels)
    {
        Enter();
        TransformerArguments.SampleLabels(onHost: false, logits, labels);
        if (logits.Rows == 0)
            return;
        var args = new SampleLabelsArgs(
            labels.Address, logits.Address, (nuint)logits.Stride, logits.Columns, seed, (uint)stream, firstToken, RowsAligned(logits) ? 1 : 0);
        Kernel("loss", Typed(logits.Type, "sample_labels_f32", "sample_labels_bf16")).Launch(_stream, logits.Rows, LossThreads, args);
    }

    /// <inheritdoc/>
    public void CompareLogits(Tensor reference, Tensor candidate, Tensor labels, Tensor statistics)
    {
        Enter();
        TransformerArguments.CompareLogits(onHost: false, reference, candidate, labels, statistics);
        if (reference.Rows == 0)
            return;
        var args = new CompareLogitsArgs(
            statistics.Address, reference.Address, candidate.Address, labels.Address, (nuint)statistics.Stride, (nuint)reference.Stride,
            (nuint)candidate.Stride, reference.Columns, WholePacks(reference, candidate));
        Kernel("loss", Typed(reference.Type, "compare_logits_f32", "compare_logits_bf16")).Launch(_stream, reference.Rows, LossThreads, args);
    }

    /// <summary>1 if the rows of logits can be walked in packs of 16 bytes.</summary>
    private static int WholePacks(params ReadOnlySpan<Tensor> logits) => logits[0].Columns % LossPackElements == 0 && RowsAligned(logits) ? 1 : 0;

    private readonly record struct CrossEntropyArgs(nint Losses, nint Logits, nint Labels, nuint Stride, int Columns, int Aligned);

    private readonly record struct CrossEntropyBackwardArgs(nint Logits, nint Labels, nuint Stride, int Columns, float Scale, int Aligned);

    private readonly record struct SampleLabelsArgs(
        nint Labels, nint Logits, nuint Stride, int Columns, ulong Seed, uint Stream, uint FirstToken, int Aligned);

    private readonly record struct CompareLogitsArgs(
        nint Statistics, nint Reference, nint Candidate, nint Labels, nuint StatisticsStride, nuint ReferenceStride, nuint CandidateStride, int Columns,
        int Aligned);
}
