using System.Numerics.Tensors;

namespace FastKron.Native.Compute.Cpu;

/// <summary>What the backward pass holds of one head's block of queries, rows and columns padded with zeros.</summary>
internal readonly unsafe ref struct AttentionQueryTile
{
    private const int Block = AttentionItem.Block;

    private readonly int _width;

    /// <summary>Takes its memory from <paramref name="scratch"/>, for heads of up to <paramref name="width"/> elements.</summary>
    public AttentionQueryTile(AttentionScratch scratch, int width)
    {
        _width = width;
        Queries = scratch.Take(Block * width);
        QueriesT = scratch.Take(Block * width);
        DOutput = scratch.Take(Block * width);
        DOutputT = scratch.Take(Block * width);
        DQueries = scratch.Take(Block * width);
        LogSumExp = scratch.Take(Block);
        Delta = scratch.Take(Block);
    }

    /// <summary>Queries times the softmax scale: (queries, width).</summary>
    public float* Queries { get; }

    /// <summary>Their transpose: (width, Block).</summary>
    public float* QueriesT { get; }

    /// <summary>Gradient of the output: (queries, width).</summary>
    public float* DOutput { get; }

    /// <summary>Its transpose: (width, Block).</summary>
    public float* DOutputT { get; }

    /// <summary>Gradient of the queries, to be multiplied by the softmax scale: (queries, width).</summary>
    public float* DQueries { get; }

    /// <summary>ln Σ exp(scores) of each query.</summary>
    public float* LogSumExp { get; }

    /// <summary>δ = do·o of each query.</summary>
    public float* Delta { get; }

    /// <summary>Floats taken from the scratch.</summary>
    public static int Elements(int width) => Block * (5 * width + 2);

    /// <summary>Reads the block of one head.</summary>
    public void Load(AttentionItem block, int head, AttentionGradients call)
    {
        int d = call.Layout.HeadDimension, queries = AttentionTile.RoundUp(block.QueryCount, AttentionTile.ColumnStep);
        nint row = block.FirstRow, column = head * d;
        float* q = (float*)call.Q.Address + row * call.Q.Stride + column;
        float* dOutput = (float*)call.DOutput.Address + row * call.DOutput.Stride + column;
        AttentionTile.Pack(q, call.Q.Stride, block.QueryCount, d, 1 / MathF.Sqrt(d), Queries, queries, _width);
        AttentionTile.Pack(dOutput, call.DOutput.Stride, block.QueryCount, d, 1, DOutput, queries, _width);
        AttentionTile.Transpose(Queries, _width, queries, _width, QueriesT, Block);
        AttentionTile.Transpose(DOutput, _width, queries, _width, DOutputT, Block);
        new Span<float>(LogSumExp, Block).Clear();
        new Span<float>(Delta, Block).Clear();
        for (int i = 0; i < block.QueryCount; i++)
        {
            LogSumExp[i] = call.LogSumExp.Row<float>(block.FirstRow + i)[head];
            Delta[i] = TensorPrimitives.Dot(
                call.DOutput.Row<float>(block.FirstRow + i).Slice(head * d, d), call.Output.Row<float>(block.FirstRow + i).Slice(head * d, d));
        }
    }

    /// <summary>Writes the gradient of the queries.</summary>
    public void StoreQueryGradients(AttentionItem block, int head, AttentionGradients call)
    {
        int d = call.Layout.HeadDimension;
        float scale = 1 / MathF.Sqrt(d);
        for (int i = 0; i < block.QueryCount; i++)
        {
            TensorPrimitives.Multiply(
                new ReadOnlySpan<float>(DQueries + i * _width, d), scale, call.Dq.Row<float>(block.FirstRow + i).Slice(head * d, d));
        }
    }
}
