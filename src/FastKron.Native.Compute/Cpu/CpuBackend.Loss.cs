using System.Numerics.Tensors;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public void CrossEntropy(Tensor logits, Tensor labels, Tensor losses)
    {
        RequireLogits(logits);
        TensorArguments.RequireHostIndices(labels, logits.Rows, int.MinValue, logits.Columns);
        TensorArguments.RequireHost(losses, DType.F32, 1, logits.Rows);
        ForRows(logits.Rows, logits.Columns, t =>
        {
            int label = labels.Row<int>(0)[t];
            double[] row = Array.ConvertAll(logits.Row<float>(t).ToArray(), z => (double)z);
            losses.Row<float>(0)[t] = (float)Reference.CrossEntropy.Loss(row, label);
        });
    }

    /// <inheritdoc/>
    public void CrossEntropyBackward(Tensor logits, Tensor labels, float scale)
    {
        RequireLogits(logits);
        TensorArguments.RequireHostIndices(labels, logits.Rows, int.MinValue, logits.Columns);
        ForRows(logits.Rows, logits.Columns, t =>
        {
            Span<float> row = logits.Row<float>(t);
            int label = labels.Row<int>(0)[t];
            if (label < 0)
            {
                row.Clear();
                return;
            }
            TensorPrimitives.Subtract(row, TensorPrimitives.Max<float>(row), row);
            TensorPrimitives.Exp(row, row);
            TensorPrimitives.Multiply(row, scale / TensorPrimitives.Sum<float>(row), row);
            row[label] -= scale;
        });
    }

    /// <inheritdoc/>
    public void SampleLabels(Tensor logits, ulong seed, RandomPurpose stream, uint firstToken, Tensor labels)
    {
        RequireLogits(logits);
        TensorArguments.RequireHost(labels, DType.I32, 1, logits.Rows);
        ForRows(logits.Rows, logits.Columns, t =>
            labels.Row<int>(0)[t] = LabelSampling.Draw(logits.Row<float>(t), seed, stream, firstToken + (uint)t));
    }

    /// <inheritdoc/>
    public void CompareLogits(Tensor reference, Tensor candidate, Tensor labels, Tensor statistics)
    {
        RequireLogits(reference);
        TensorArguments.RequireHost(candidate, DType.F32, reference.Rows, reference.Columns);
        TensorArguments.RequireHostIndices(labels, reference.Rows, int.MinValue, reference.Columns);
        TensorArguments.RequireHost(statistics, DType.F32, reference.Rows, LogitStatistics.Count);
        ForRows(reference.Rows, reference.Columns, t =>
        {
            double[] a = Array.ConvertAll(reference.Row<float>(t).ToArray(), z => (double)z);
            double[] b = Array.ConvertAll(candidate.Row<float>(t).ToArray(), z => (double)z);
            double[] result = new double[LogitStatistics.Count];
            LogitComparison.Compare(a, b, labels.Row<int>(0)[t], result);
            Array.ConvertAll(result, s => (float)s).CopyTo(statistics.Row<float>(t));
        });
    }

    private static void RequireLogits(Tensor logits)
    {
        TensorArguments.RequireHost(logits, DType.F32, logits.Rows, logits.Columns);
        if (logits.Columns == 0)
            throw new ArgumentException($"logits: found {logits}, expected at least one column", nameof(logits));
    }
}
