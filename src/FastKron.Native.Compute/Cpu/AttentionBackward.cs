using System.Numerics;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Gradients of one sequence and key head by the tiles of <see cref="AttentionForward"/>; scores are computed again.</summary>
/// <remarks>
/// With s = q·k/√d, p = exp(s − logSumExp), dp = do·v and δ = do·o: dv += pᵀ do, ds = p∘(dp − δ), dk += dsᵀ q/√d, dq += ds k/√d.
/// Source: arXiv:2205.14135, algorithm 4.
/// </remarks>
internal static unsafe class AttentionBackward
{
    private const int Block = AttentionItem.Block;

    /// <summary>Writes the key and value gradients of the item's key head and the query gradients of the heads that read it.</summary>
    public static void Run(AttentionItem item, AttentionGradients call)
    {
        AttentionLayout layout = call.Layout;
        int d = layout.HeadDimension, width = AttentionTile.RoundUp(d, AttentionTile.ColumnStep), group = layout.Heads / layout.KeyHeads;
        int keyCount = item.Sequence.KeyCount, paddedKeys = AttentionTile.RoundUp(keyCount, Block), all = checked(paddedKeys * width);

        using var scratch = new AttentionScratch(4L * all + 2 * Block * Block + AttentionQueryTile.Elements(width));
        float* keys = scratch.Take(all);            // (paddedKeys, width), as the next three
        float* values = scratch.Take(all);
        float* dKeys = scratch.Take(all);
        float* dValues = scratch.Take(all);
        float* p = scratch.Take(Block * Block);     // (keys, Block) of one tile, as the next
        float* ds = scratch.Take(Block * Block);
        var tile = new AttentionQueryTile(scratch, width);

        nint row = item.Sequence.KeyStart, column = item.KeyHead * d;
        AttentionTile.Pack((float*)call.K.Address + row * call.K.Stride + column, call.K.Stride, keyCount, d, 1, keys, paddedKeys, width);
        AttentionTile.Pack((float*)call.V.Address + row * call.V.Stride + column, call.V.Stride, keyCount, d, 1, values, paddedKeys, width);
        new Span<float>(dKeys, all).Clear();
        new Span<float>(dValues, all).Clear();

        for (int head = item.KeyHead * group; head < (item.KeyHead + 1) * group; head++)
        {
            for (int start = 0; start < item.QueryCount; start += Block)
            {
                AttentionItem block = item.BlockOf(start);
                int queries = AttentionTile.RoundUp(block.QueryCount, AttentionTile.ColumnStep);
                tile.Load(block, head, call);
                for (int firstKey = 0; firstKey < block.VisibleKeys; firstKey += Block)
                {
                    int count = Math.Min(Block, block.VisibleKeys - firstKey), padded = AttentionTile.RoundUp(count, AttentionTile.RowStep);
                    int offset = firstKey * width;
                    AttentionTile.Multiply(keys + offset, width, 1, tile.QueriesT, Block, p, Block, padded, queries, d, accumulate: false);
                    AttentionTile.Multiply(values + offset, width, 1, tile.DOutputT, Block, ds, Block, padded, queries, d, accumulate: false);
                    ScoreGradients(p, ds, padded, queries, firstKey - block.Diagonal, tile);
                    AttentionTile.Multiply(p, Block, 1, tile.DOutput, width, dValues + offset, width, padded, width, block.QueryCount, accumulate: true);
                    AttentionTile.Multiply(ds, Block, 1, tile.Queries, width, dKeys + offset, width, padded, width, block.QueryCount, accumulate: true);
                    AttentionTile.Multiply(ds, 1, Block, keys + offset, width, tile.DQueries, width, queries, width, count, accumulate: firstKey > 0);
                }
                tile.StoreQueryGradients(block, head, call);
            }
        }
        for (int j = 0; j < keyCount; j++)
        {
            new ReadOnlySpan<float>(dKeys + j * width, d).CopyTo(call.Dk.Row<float>(item.Sequence.KeyStart + j).Slice(item.KeyHead * d, d));
            new ReadOnlySpan<float>(dValues + j * width, d).CopyTo(call.Dv.Row<float>(item.Sequence.KeyStart + j).Slice(item.KeyHead * d, d));
        }
    }

    /// <summary>p ← exp(p − logSumExp), ds ← p∘(ds − δ), both 0 where a query may not see the key: key j is seen by the queries from j + firstQuery on.</summary>
    private static void ScoreGradients(float* p, float* ds, int keys, int queries, int firstQuery, in AttentionQueryTile tile)
    {
        for (int lane = 0; lane < queries; lane += Vector<float>.Count)
        {
            Vector<float> logSumExp = Vector.Load(tile.LogSumExp + lane), delta = Vector.Load(tile.Delta + lane);
            for (int at = lane; at < keys * Block; at += Block)
            {
                Vector<float> probability = Exponential.Of(Vector.Load(p + at) - logSumExp);
                probability.Store(p + at);
                (probability * (Vector.Load(ds + at) - delta)).Store(ds + at);
            }
        }
        for (int j = Math.Max(0, 1 - firstQuery); j < keys; j++)
        {
            int hidden = Math.Min(queries, j + firstQuery);
            new Span<float>(p + j * Block, hidden).Clear();
            new Span<float>(ds + j * Block, hidden).Clear();
        }
    }
}

/// <summary>Operands and results of one backward call.</summary>
internal sealed record AttentionGradients(
    Tensor DOutput, Tensor Q, Tensor K, Tensor V, Tensor Output, Tensor LogSumExp, AttentionLayout Layout, Tensor Dq, Tensor Dk, Tensor Dv);
