using System.Numerics;
using System.Numerics.Tensors;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Attention of one item by tiles of queries and keys with a running softmax; no matrix of all scores is kept.</summary>
/// <remarks>
/// A tile of scores is transposed, (keys, queries): its inner products then take keys one number at a time and queries a register at a time, so
/// neither needs a copy in another order but the block of queries, and the softmax runs down the columns without sums across lanes.
/// Source of the running softmax: arXiv:1805.02867, algorithm 3; of the tiling: arXiv:2205.14135, algorithm 1.
/// </remarks>
internal static unsafe class AttentionForward
{
    private const int Block = AttentionItem.Block;

    /// <summary>Below this many queries, one query at a time beats tiles that are mostly padding.</summary>
    private const int FewQueries = 4;

    /// <summary>Writes the rows and head columns of <paramref name="output"/> and <paramref name="logSumExp"/> that belong to the item.</summary>
    public static void Run(AttentionItem item, Tensor q, Tensor k, Tensor v, AttentionLayout layout, Tensor output, Tensor? logSumExp)
    {
        if (item.Sequence.QueryCount < FewQueries)
            RunQueries(item, q, k, v, layout, output, logSumExp);
        else
            RunBlock(item, q, k, v, layout, output, logSumExp);
    }

    private static void RunQueries(AttentionItem item, Tensor q, Tensor k, Tensor v, AttentionLayout layout, Tensor output, Tensor? logSumExp)
    {
        int d = layout.HeadDimension, group = layout.Heads / layout.KeyHeads;
        float scale = 1 / MathF.Sqrt(d);
        using var scratch = new AttentionScratch(item.VisibleKeys);
        float* memory = scratch.Take(item.VisibleKeys);
        for (int i = 0; i < item.QueryCount; i++)
        {
            var p = new Span<float>(memory, item.Diagonal + i + 1);
            for (int head = item.KeyHead * group; head < (item.KeyHead + 1) * group; head++)
            {
                ReadOnlySpan<float> query = q.Row<float>(item.FirstRow + i).Slice(head * d, d);
                for (int j = 0; j < p.Length; j++)
                    p[j] = TensorPrimitives.Dot(query, k.Row<float>(item.Sequence.KeyStart + j).Slice(item.KeyHead * d, d)) * scale;
                float maximum = TensorPrimitives.Max<float>(p);
                double sum = RowSoftmax.Exponentials(p, maximum);
                Span<float> o = output.Row<float>(item.FirstRow + i).Slice(head * d, d);
                o.Clear();
                for (int j = 0; j < p.Length; j++)
                    TensorPrimitives.MultiplyAdd(v.Row<float>(item.Sequence.KeyStart + j).Slice(item.KeyHead * d, d), p[j], o, o);
                TensorPrimitives.Multiply(o, (float)(1 / sum), o);
                if (logSumExp is not null)
                    logSumExp.Row<float>(item.FirstRow + i)[head] = (float)(maximum + Math.Log(sum));
            }
        }
    }

    private static void RunBlock(AttentionItem item, Tensor q, Tensor k, Tensor v, AttentionLayout layout, Tensor output, Tensor? logSumExp)
    {
        int d = layout.HeadDimension, width = AttentionTile.RoundUp(d, AttentionTile.ColumnStep), group = layout.Heads / layout.KeyHeads;
        int queries = AttentionTile.RoundUp(item.QueryCount, AttentionTile.ColumnStep), tile = Block * width;
        float scale = 1 / MathF.Sqrt(d);

        using var scratch = new AttentionScratch((3L + 2 * group) * tile + Block * Block + (2 * group + 1) * Block);
        float* rows = scratch.Take(tile);                    // (queries, width) the queries of one head, scaled
        float* keys = scratch.Take(tile);                    // (keys, width)
        float* values = scratch.Take(tile);                  // (keys, width)
        float* queriesT = scratch.Take(group * tile);        // group × (width, Block)
        float* sums = scratch.Take(group * tile);            // group × (queries, width): Σ p v
        float* scores = scratch.Take(Block * Block);         // (keys, Block)
        float* maxima = scratch.Take(group * Block);         // group × (queries)
        float* totals = scratch.Take(group * Block);         // group × (queries): Σ p
        float* decay = scratch.Take(Block);                  // (queries): factor of the sums so far

        for (int h = 0; h < group; h++)
        {
            float* source = (float*)q.Address + item.FirstRow * q.Stride + (item.KeyHead * group + h) * d;
            AttentionTile.Pack(source, q.Stride, item.QueryCount, d, scale, rows, queries, width);
            AttentionTile.Transpose(rows, width, queries, width, queriesT + h * tile, Block);
        }
        new Span<float>(maxima, group * Block).Fill(float.NegativeInfinity);
        new Span<float>(totals, group * Block).Clear();

        for (int firstKey = 0; firstKey < item.VisibleKeys; firstKey += Block)
        {
            int count = Math.Min(Block, item.VisibleKeys - firstKey), padded = AttentionTile.RoundUp(count, AttentionTile.RowStep);
            nint row = item.Sequence.KeyStart + firstKey, column = item.KeyHead * d;
            AttentionTile.Pack((float*)k.Address + row * k.Stride + column, k.Stride, count, d, 1, keys, padded, width);
            AttentionTile.Pack((float*)v.Address + row * v.Stride + column, v.Stride, count, d, 1, values, padded, width);
            for (int h = 0; h < group; h++)
            {
                AttentionTile.Multiply(keys, width, 1, queriesT + h * tile, Block, scores, Block, padded, queries, d, accumulate: false);
                Mask(scores, count, firstKey - item.Diagonal, item.QueryCount);
                Softmax(scores, count, queries, maxima + h * Block, totals + h * Block, decay);
                if (firstKey > 0)
                    ScaleRows(sums + h * tile, decay, item.QueryCount, width);
                AttentionTile.Multiply(scores, 1, Block, values, width, sums + h * tile, width, queries, width, count, accumulate: firstKey > 0);
            }
        }

        for (int h = 0; h < group; h++)
        {
            int head = item.KeyHead * group + h;
            for (int i = 0; i < item.QueryCount; i++)
            {
                float total = totals[h * Block + i];
                TensorPrimitives.Divide(
                    new ReadOnlySpan<float>(sums + h * tile + i * width, d), total, output.Row<float>(item.FirstRow + i).Slice(head * d, d));
                if (logSumExp is not null)
                    logSumExp.Row<float>(item.FirstRow + i)[head] = maxima[h * Block + i] + MathF.Log(total);
            }
        }
    }

    /// <summary>Sets the scores of keys that a query may not see to −∞: key j is seen by the queries from j + <paramref name="firstQuery"/> on.</summary>
    private static void Mask(float* scores, int keys, int firstQuery, int queries)
    {
        for (int j = Math.Max(0, 1 - firstQuery); j < keys; j++)
            new Span<float>(scores + j * Block, Math.Min(queries, j + firstQuery)).Fill(float.NegativeInfinity);
    }

    /// <summary>For every column: p ← exp(scores − new maximum), with maximum, total and the decay of what was summed before brought up to date.</summary>
    private static void Softmax(float* scores, int keys, int queries, float* maxima, float* totals, float* decay)
    {
        for (int lane = 0; lane < queries; lane += Vector<float>.Count)
        {
            Vector<float> before = Vector.Load(maxima + lane), maximum = before;
            for (int j = 0; j < keys; j++)
                maximum = Vector.MaxNative(maximum, Vector.Load(scores + j * Block + lane));
            Vector<float> factor = Exponential.Of(before - maximum), total = Vector.Load(totals + lane) * factor;
            for (int j = 0; j < keys; j++)
            {
                Vector<float> p = Exponential.Of(Vector.Load(scores + j * Block + lane) - maximum);
                p.Store(scores + j * Block + lane);
                total += p;
            }
            maximum.Store(maxima + lane);
            total.Store(totals + lane);
            factor.Store(decay + lane);
        }
    }

    private static void ScaleRows(float* matrix, float* factors, int rows, int width)
    {
        for (int i = 0; i < rows; i++)
        {
            if (factors[i] != 1)
                TensorPrimitives.Multiply(new ReadOnlySpan<float>(matrix + i * width, width), factors[i], new Span<float>(matrix + i * width, width));
        }
    }
}
