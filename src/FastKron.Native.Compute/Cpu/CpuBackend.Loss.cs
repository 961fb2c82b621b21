using System.Numerics.Tensors;
using FastKron.Native.Compute.Reference;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public void CrossEntropy(Tensor logits, Tensor labels, Tensor losses)
    {
        TransformerArguments.CrossEntropy(onHost: true, logits, labels, losses);
        ForRows(logits.Rows, logits.Columns, t =>
        {
            ReadOnlySpan<float> row = logits.Row<float>(t);
            int label = labels.Row<int>(0)[t];
            float maximum = TensorPrimitives.Max(row);
            losses.Row<float>(0)[t] = label < 0 ? 0 : (float)(Math.Log(RowSoftmax.SumOfExponentials(row, maximum)) + (maximum - (double)row[label]));
        });
    }

    /// <inheritdoc/>
    public void CrossEntropyBackward(Tensor logits, Tensor labels, float scale)
    {
        TransformerArguments.CrossEntropyBackward(onHost: true, logits, labels);
        ForRows(logits.Rows, logits.Columns, t =>
        {
            Span<float> row = logits.Row<float>(t);
            int label = labels.Row<int>(0)[t];
            if (label < 0)
            {
                row.Clear();
                return;
            }
            double sum = RowSoftmax.Exponentials(row, TensorPrimitives.Max<float>(row));
            TensorPrimitives.Multiply(row, (float)(scale / sum), row);
            row[label] -= scale;
        });
    }

    /// <inheritdoc/>
    public void SampleLabels(Tensor logits, ulong seed, RandomPurpose stream, uint firstToken, Tensor labels)
    {
        TransformerArguments.SampleLabels(onHost: true, logits, labels);
        ForRows(logits.Rows, logits.Columns, t =>
            labels.Row<int>(0)[t] = GumbelArgmax.Draw(logits.Row<float>(t), seed, stream, firstToken + (uint)t));
    }

    /// <inheritdoc/>
    public void CompareLogits(Tensor reference, Tensor candidate, Tensor labels, Tensor statistics)
    {
        TransformerArguments.CompareLogits(onHost: true, reference, candidate, labels, statistics);
        ForRows(reference.Rows, reference.Columns, t =>
            CompareRow(reference.Row<float>(t), candidate.Row<float>(t), labels.Row<int>(0)[t], statistics.Row<float>(t)));
    }

    private static void CompareRow(ReadOnlySpan<float> reference, ReadOnlySpan<float> candidate, int label, Span<float> statistics)
    {
        float referenceMaximum = TensorPrimitives.Max(reference), candidateMaximum = TensorPrimitives.Max(candidate);
        RowDivergence divergence = RowSoftmax.Compare(reference, candidate, referenceMaximum, candidateMaximum);
        int top = RowSoftmax.FirstIndexOf(reference, referenceMaximum), candidateTop = RowSoftmax.FirstIndexOf(candidate, candidateMaximum);
        bool ranked = top >= 0 && candidateTop >= 0;     // neither row holds NaN
        statistics[LogitStatistics.Divergence] = (float)divergence.Forward;
        statistics[LogitStatistics.ReverseDivergence] = (float)divergence.Reverse;
        statistics[LogitStatistics.ReferenceLoss] =
            label < 0 ? 0 : (float)(divergence.ReferenceLogSum + (referenceMaximum - (double)reference[label]));
        statistics[LogitStatistics.CandidateLoss] =
            label < 0 ? 0 : (float)(divergence.CandidateLogSum + (candidateMaximum - (double)candidate[label]));
        statistics[LogitStatistics.TopAgreement] = ranked && top == candidateTop ? 1 : 0;
        statistics[LogitStatistics.TopFiveHit] = ranked && RowSoftmax.CountAhead(candidate, candidate[top], top) < 5 ? 1 : 0;
    }
}
