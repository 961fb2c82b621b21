using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

// kernels/kronecker.cu: products in blocks of 256 x 256 by clusters of two, on compute capability 9.0. cuBLAS does them elsewhere: there
// nothing of ours would be faster.
public sealed partial class GpuBackend
{
    // kernels/device/gemm_tiles.cuh
    private const int ClusterBlocks = 2, GemmThreads = 384, TileOrder = 256, TileDepth = 64, TilePanel = 64, TileElements = 8;
    private const uint StageBytes = (128 + TileOrder) * TileDepth * 2, GemmAlignBytes = 1024;
    private const uint GramShared = 4 * (StageBytes + StageBarrierBytes) + GemmAlignBytes, ProductShared = GramShared + 2 * 2 * TilePanel * TilePanel * 2;

    /// <summary>Counters of turns for each block of the result.</summary>
    private const int TileTickets = 4;

    /// <summary>Stages that one sum runs over: the tensor cores truncate, so a sum of positive terms loses 8e-8 of itself with each.</summary>
    private const int LongestSum = 2048;

    /// <summary>Stages that take as long as adding a block to the result.</summary>
    private const int AddedStages = 8;

    /// <summary>Order and depth from which one triangle in tiles is faster than cuBLAS.</summary>
    private const int SmallestTiles = 512;

    /// <summary>Share of a whole product up to which one triangle in tiles is faster than the whole one of cuBLAS.</summary>
    private const double LargestShare = 0.8;

    /// <summary>Whether <paramref name="count"/> matrices of BF16 beside each other can be described to bulk copies.</summary>
    private bool HasTiles(Tensor operands, int count) =>
        _images.HasWarpgroups && operands.Type == DType.BF16 && operands.Address % PackBytes == 0 && operands.Stride % TileElements == 0
        && operands.Columns / count % TileElements == 0;

    /// <summary>Whether a result can be written two elements at a time.</summary>
    private static bool HasTiles(Tensor result) =>
        result.Type == DType.F32 && result.Address % (2 * sizeof(float)) == 0 && result.Stride % 2 == 0 && result.Columns % 2 == 0;

    /// <summary>Whether the blocks of a triangle cover little enough of the whole: 576 rows need 6 blocks of 256, 18 % more than all of it.</summary>
    private static bool FillsTiles(int order)
    {
        double blocks = (order + TileOrder - 1) / TileOrder, covered = blocks * (blocks + 1) / 2 * TileOrder * TileOrder;
        return covered <= LargestShare * order * order;
    }

    /// <summary>P_k ← G_k fᵀ or f G_k.</summary>
    private void MultiplyTiles(in GradientSlice g, KroneckerSide side, Tensor f, bool triangular, in GradientSlice p)
    {
        bool rows = side == KroneckerSide.Rows, whole = g.Matrix.IsContiguous;
        (int positions, int groups) = !rows ? (g.Matrix.Columns, 1) : whole ? (checked(g.Matrix.Rows * g.Count), 1) : (g.Matrix.Rows, g.Count);
        CudaTensorMap stackMap = rows ? TallMap(g, whole) : WideMap(g.Matrix), productMap = rows ? TallMap(p, whole) : WideMap(p.Matrix);
        var args = new TileProductArgs(WideMap(f), stackMap, productMap, positions, groups, f.Rows, triangular ? 1 : 0);
        CudaKernel kernel = Kernel("kronecker", rows ? "product_rows_bf16" : "product_columns_bf16");
        kernel.Launch(_stream, Clusters(kernel, ProductShared) * ClusterBlocks, GemmThreads, args, ProductShared);
    }

    /// <summary>The lower triangle of result ← alpha · Σ P_k Q_kᵀ or alpha · Σ P_kᵀ Q_k, plus result where <paramref name="accumulate"/>.</summary>
    private void MultiplyLowerTiles(in GradientSlice p, in GradientSlice q, KroneckerSide side, Tensor result, double alpha, bool accumulate)
    {
        bool rows = side == KroneckerSide.Rows, whole = p.Matrix.IsContiguous && q.Matrix.IsContiguous;
        (int depth, int groups) = rows ? (p.Matrix.Columns, 1) : whole ? (checked(p.Matrix.Rows * p.Count), 1) : (p.Matrix.Rows, p.Count);
        CudaTensorMap left = rows ? WideMap(p.Matrix) : TallMap(p, whole), right = rows ? WideMap(q.Matrix) : TallMap(q, whole);
        CudaKernel kernel = Kernel("kronecker", rows ? "gram_along_bf16" : "gram_across_bf16");
        int blocks = (result.Rows + TileOrder - 1) / TileOrder, triangle = blocks * (blocks + 1) / 2, clusters = Clusters(kernel, GramShared);
        int chunks = Chunks(triangle, (long)groups * ((depth + TileDepth - 1) / TileDepth), clusters);
        using Tensor tickets = Allocate(DType.I32, triangle, TileTickets);
        Fill(tickets, 0);
        var args = new TileGramArgs(
            left, right, result.Address, tickets.Address, (nuint)result.Stride, result.Rows, groups, depth, chunks, accumulate ? 1 : 0, (float)alpha);
        kernel.Launch(_stream, clusters * ClusterBlocks, GemmThreads, args, GramShared);
    }

    private static int Clusters(CudaKernel kernel, uint sharedBytes) => kernel.MaxActiveClusters(ClusterBlocks, GemmThreads, sharedBytes);

    /// <summary>Chunks of the inner dimension for which the last round of units keeps the most clusters busy.</summary>
    /// <param name="triangle">Blocks of the result.</param>
    /// <param name="stages">Length of the inner dimension.</param>
    /// <param name="clusters">That work at once.</param>
    private static int Chunks(int triangle, long stages, int clusters)
    {
        int fewest = (int)((stages + LongestSum - 1) / LongestSum), best = fewest;
        double least = double.PositiveInfinity;
        for (int chunks = fewest; chunks <= fewest + clusters && (chunks == fewest || stages / chunks >= AddedStages); chunks++)
        {
            double rounds = Math.Ceiling((double)triangle * chunks / clusters), cost = rounds * ((double)stages / chunks + AddedStages);
            if (cost < 0.995 * least)
                (least, best) = (cost, chunks);
        }
        return best;
    }

    /// <summary>Dimensions: columns, one, rows.</summary>
    private static CudaTensorMap WideMap(Tensor matrix) =>
        CudaTensorMap.OfBF16(matrix.Address, [matrix.Columns, 1, matrix.Rows], [matrix.Stride, matrix.Stride], [TilePanel, 1, TilePanel]);

    /// <summary>Dimensions: columns of a gradient, one, the rows of all; or columns, gradients, rows.</summary>
    private static CudaTensorMap TallMap(in GradientSlice g, bool whole) => whole
        ? WideMap(g.Tall)
        : CudaTensorMap.OfBF16(g.Matrix.Address, [g.Columns, g.Count, g.Matrix.Rows], [g.Columns, g.Matrix.Stride], [TilePanel, 1, TilePanel]);

    private readonly record struct TileProductArgs(
        CudaTensorMap F, CudaTensorMap Stack, CudaTensorMap P, int Positions, int Groups, int Order, int Triangular);

    private readonly record struct TileGramArgs(
        CudaTensorMap Left, CudaTensorMap Right, nint Result, nint Tickets, nuint Stride, int Size, int Groups, int Depth, int Chunks, int Accumulate, float Alpha);
}
