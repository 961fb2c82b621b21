using FastKron.Native.Compute.Gpu;
using FastKron.Native.Compute.Tensors;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Gpu;

/// <summary>Indices outside their table, which a device cannot refuse before it writes: their rows become NaN, and no other.</summary>
[RequiresGpu]
public sealed class GpuTransformerTests
{
    [Test]
    public void Embedding_IdOutsideTheTable_MakesItsRowNaN([Values] bool aligned, [Values(DType.F32, DType.BF16)] DType type)
    {
        using var backend = new GpuBackend();
        using var operands = new TransformerOperands(backend, type, aligned);
        Tensor y = operands.Output(4, 16);
        backend.Embedding(operands.Indices(0, -1, 2, 3), operands.Matrix(operands.Normal(3 * 16), 3, 16), y);
        Assert.That(RowsOfNaN(operands, y), Is.EqualTo([false, true, false, true]));
    }

    [Test]
    public void Rotary_PositionOutsideTheTables_MakesItsRowNaN([Values] bool aligned, [Values(DType.F32, DType.BF16)] DType type)
    {
        using var backend = new GpuBackend();
        using var operands = new TransformerOperands(backend, type, aligned);
        Tensor x = operands.Matrix(operands.Normal(4 * 32), 4, 32), table = operands.Statistics(operands.Normal(3 * 8), 3, 8);
        backend.Rotary(x, operands.Indices(0, -1, 2, 3), table, table, headDimension: 16, inverse: false);
        Assert.That(RowsOfNaN(operands, x), Is.EqualTo([false, true, false, true]));
    }

    [Test]
    public void CrossEntropy_LabelOutsideTheVocabulary_MakesItsRowNaN([Values] bool aligned, [Values(DType.F32, DType.BF16)] DType type)
    {
        using var backend = new GpuBackend();
        using var operands = new TransformerOperands(backend, type, aligned);
        Tensor logits = operands.Matrix(operands.Normal(3 * 16), 3, 16), labels = operands.Indices(15, 16, -1), losses = operands.StatisticsOutput(1, 3);
        backend.CrossEntropy(logits, labels, losses);
        Assert.That(operands.Read(losses).Select(double.IsNaN), Is.EqualTo([false, true, false]));
        backend.CrossEntropyBackward(logits, labels, scale: 1);
        Assert.That(RowsOfNaN(operands, logits), Is.EqualTo([false, true, false]));
    }

    /// <summary>For every row whether all its numbers are NaN; no row may be NaN in part, nor a gap be written.</summary>
    private static bool[] RowsOfNaN(TransformerOperands operands, Tensor tensor)
    {
        Assert.That(operands.GapsIntact());
        int[] counts = [.. operands.Read(tensor).Chunk(tensor.Columns).Select(row => row.Count(double.IsNaN))];
        Assert.That(counts.All(count => count == 0 || count == tensor.Columns), string.Join(' ', counts));
        return Array.ConvertAll(counts, count => count > 0);
    }
}
