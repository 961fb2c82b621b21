// Products over a gradient stack, compute capability 9.0. The stack S holds K gradients (m, n) as [m][K][n]; one factor
// comes from products P_k of all gradients with a factor of the other side, and the sum of their outer products:
//   rows      P_k = G_k F^T,  A = sum of P_k Q_k^T      columns   P_k = F G_k,  B = sum of P_k^T Q_k
// Q = P and F a lower triangle (the root of a positive V = F^T F), or Q = G and F = V. GpuBackend.Kronecker.cs calls
// them for some gradients at a time, and gram alone for F = I and other symmetric products.
// Numerics  operands bf16, P rounded to bf16, sums in f32; the order of the sums depends on the sizes and on the number
//           of clusters that the device holds.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || !defined(__CUDA_ARCH__)
#include "device/gemm_tiles.cuh"
#include "device/mma.cuh"
#include <cstddef>

constexpr int BandBlocks = 8;   // blocks of 256 that are walked together, so that what they share stays in L2

__device__ __forceinline__ uint32_t aligned_shared()
{
    extern __shared__ uint8_t memory[];
    return (shared_address(memory) + 1023) & ~1023u;
}

// ---- product: P = F times the stack, rounded to bf16.  F (order, order) is the left operand of the tiles. ----
// Maps      f (depth, 1, order); stack and p: rows (order, groups, positions), columns (positions, 1, order): positions
//           are rows of gradients, in groups one after the other, or columns of gradients.
// Launch    grid (clusters of two blocks, as many as run at once), block (GemmThreads), dynamic shared memory: stages,
//           staging, barriers, and 1024 to align them.

constexpr uint32_t StagingBytes = Workers * 2 * PanelBytes;

// The walk over blocks of 256 x 256: bands of some blocks of positions, in each pairs of rows of F, the last with the
// first and so on, whose products are equally long in sum if F is a triangle: so the clusters stay together.
struct ProductWalk
{
    int across, down, pairs, total, depthBlocks, triangular;
    int position, group, row, depth;   // of the block; depth in stages

    __device__ __forceinline__ ProductWalk(int positions, int groups, int order, int triangular)
        : across((positions + TileColumns - 1) / TileColumns), down((order + ClusterRows - 1) / ClusterRows),
          pairs((down + 1) / 2), total(across * groups), depthBlocks((order + TileDepth - 1) / TileDepth),
          triangular(triangular)
    {
    }

    __device__ __forceinline__ int units() const
    {
        return total * pairs;
    }

    // The longer or the shorter block of a unit; false where there is no shorter one.
    __device__ __forceinline__ bool at(int unit, int shorter)
    {
        int band = unit / (BandBlocks * pairs), rest = unit - band * BandBlocks * pairs;
        int width = min(BandBlocks, total - band * BandBlocks), block = band * BandBlocks + rest % width;
        int pair = rest / width, rowBlock = shorter ? pair : down - 1 - pair;
        row = rowBlock * ClusterRows;
        group = block / across;
        position = (block - group * across) * TileColumns;
        depth = triangular ? min(depthBlocks, (row + ClusterRows) / TileDepth) : depthBlocks;
        return !shorter || pair < down - 1 - pair;
    }
};

// From the longer block of a unit to the shorter, from that to the longer of the cluster's next unit.
__device__ __forceinline__ int next(int step, int clusters)
{
    return step % 2 == 0 ? step + 1 : step - 1 + 2 * clusters;
}

template <bool Columns>
__device__ __forceinline__ void product(const TensorMap& f, const TensorMap& stack, const TensorMap& p, ProductWalk walk)
{
    uint32_t stages = aligned_shared(), staging = stages + StagesBytes;
    TileRing ring = open_ring(stages, staging + StagingBytes);
    int rank = cluster_rank(), cluster = blockIdx.x / ClusterBlocks, clusters = gridDim.x / ClusterBlocks;
    if (threadIdx.x < WarpgroupThreads)
    {
        lower_registers<ProducerRegisters>();
        for (int step = 2 * cluster; threadIdx.x == 0 && step < 2 * walk.units(); step = next(step, clusters))
        {
            if (!walk.at(step / 2, step % 2))
                continue;
            for (int k = 0; k < walk.depth; k++)
                fill_stage<false, Columns>(ring, f, stack, walk.row + rank * TileRows, 0, walk.position, walk.group,
                                           k * TileDepth, rank);
        }
    }
    else
    {
        raise_registers<WorkerRegisters>();
        int worker = threadIdx.x / WarpgroupThreads - 1, thread = threadIdx.x % WarpgroupThreads;
        int warp = thread / 32, lane = thread % 32;
        staging += worker * 2 * PanelBytes;
        float sums[SumTiles][4];
        for (int step = 2 * cluster; step < 2 * walk.units(); step = next(step, clusters))
        {
            if (!walk.at(step / 2, step % 2))
                continue;
            int row = walk.row + rank * TileRows + worker * PanelRows;
            int depth = walk.triangular ? min(walk.depth, row / TileDepth + 1) : walk.depth;
            multiply<false, Columns>(sums, ring, worker, depth, walk.depth);

            // 64 columns at a time through shared memory; transposed where positions are rows of P.
#pragma unroll
            for (int piece = 0; piece < Pieces; piece++)
            {
                uint32_t buffer = staging + piece % 2 * PanelBytes;
                if (thread == 0)
                    store_wait_read<1>();
                group_sync(1 + worker, WarpgroupThreads);
#pragma unroll
                for (int pair = 0; pair < PanelColumns / 16; pair++)
                {
                    const float(&a)[4] = sums[8 * piece + 2 * pair], (&b)[4] = sums[8 * piece + 2 * pair + 1];
                    int line = Columns ? 16 * warp + lane % 16 : 16 * pair + lane / 16 * 8 + lane % 8;
                    int chunk = Columns ? 2 * pair + lane / 16 : 2 * warp + lane / 8 % 2;
                    store_matrices<!Columns>(buffer + line * PanelRowBytes + ((chunk ^ line % 8) << 4),
                                             pack_bf16(a[0], a[1]), pack_bf16(a[2], a[3]), pack_bf16(b[0], b[1]),
                                             pack_bf16(b[2], b[3]));
                }
                fence_async();
                group_sync(1 + worker, WarpgroupThreads);
                if (thread == 0)
                {
                    int position = walk.position + piece * PanelColumns;
                    if constexpr (Columns)
                        store_box(p, position, walk.group, row, buffer);
                    else
                        store_box(p, row, walk.group, position, buffer);
                    store_commit();
                }
            }
        }
        if (thread == 0)
            store_wait_read<0>();
    }
    cluster_sync();
}

#define PRODUCT(NAME, COLUMNS)                                                                                         \
    extern "C" __global__ void __cluster_dims__(ClusterBlocks, 1, 1) __launch_bounds__(GemmThreads, 1)                 \
        NAME(const __grid_constant__ TensorMap f, const __grid_constant__ TensorMap stack,                             \
             const __grid_constant__ TensorMap p, int positions, int groups, int order, int triangular)                \
    {                                                                                                                  \
        product<COLUMNS>(f, stack, p, ProductWalk(positions, groups, order, triangular));                              \
    }

PRODUCT(product_rows_bf16, false)
PRODUCT(product_columns_bf16, true)

// ---- gram: the lower triangle of C = alpha times the sum of L R^T (along) or L^T R (across), plus C where accumulate ----
// Maps      left and right: along (depth, groups, size), across (size, groups, depth); the sum runs over groups, too.
// Arguments result f32, rows a stride apart; tickets: zeros, one for each worker of each block of 256 in the triangle.
//           chunks: pieces of the inner dimension, whose sums are added one after the other; so long sums, which the
//           tensor cores truncate, lose less.
// Launch    grid (clusters of two blocks, no more than run at once: they wait for each other), block (GemmThreads),
//           dynamic shared memory: stages, barriers, and 1024 to align them.

// The walk over blocks of 256 x 256 of the triangle, once for every chunk: bands of some blocks of rows, in each the
// columns from the first. A unit waits only for units before it.
struct GramWalk
{
    int blocks, triangle, groupBlocks, depthBlocks, chunks;
    int chunk, row, column, begin, end;   // of the unit: blocks of rows and columns, stages

    __device__ __forceinline__ GramWalk(int size, int groups, int depth, int chunks)
        : blocks((size + ClusterRows - 1) / ClusterRows), triangle(blocks * (blocks + 1) / 2),
          groupBlocks((depth + TileDepth - 1) / TileDepth), depthBlocks(groupBlocks * groups), chunks(chunks)
    {
    }

    __device__ __forceinline__ int units() const
    {
        return triangle * chunks;
    }

    __device__ __forceinline__ void at(int unit)
    {
        chunk = unit / triangle;
        int rest = unit - chunk * triangle, top = 0, rows = min(BandBlocks, blocks), skipped = 0;
        while (rest >= rows * top + rows * (rows + 1) / 2)
        {
            rest -= rows * top + rows * (rows + 1) / 2;
            top += rows;
            rows = min(BandBlocks, blocks - top);
        }
        column = min(rest / rows, top);
        rest -= column * rows;
        while (rest >= rows - skipped)   // in the band's own triangle
            rest -= rows - skipped++;
        column += skipped;
        row = top + skipped + rest;
        begin = static_cast<int>(static_cast<long long>(depthBlocks) * chunk / chunks);
        end = static_cast<int>(static_cast<long long>(depthBlocks) * (chunk + 1) / chunks);
    }
};

// Waits until the ticket says that it is the chunk's turn.
__device__ __forceinline__ void wait_turn(const int* ticket, int chunk)
{
    int turn;
    do
        asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(turn) : "l"(ticket) : "memory");
    while (turn != chunk);
}

__device__ __forceinline__ void pass_turn(int* ticket, int chunk)
{
    asm volatile("st.release.gpu.global.s32 [%0], %1;" ::"l"(ticket), "r"(chunk + 1) : "memory");
}

template <bool Across>
__device__ __forceinline__ void gram(const TensorMap& left, const TensorMap& right, float* result, int* tickets,
                                     size_t stride, int size, GramWalk walk, int accumulate, float alpha)
{
    uint32_t stages = aligned_shared();
    TileRing ring = open_ring(stages, stages + StagesBytes);
    int rank = cluster_rank(), cluster = blockIdx.x / ClusterBlocks, clusters = gridDim.x / ClusterBlocks;
    if (threadIdx.x < WarpgroupThreads)
    {
        lower_registers<ProducerRegisters>();
        for (int unit = cluster; threadIdx.x == 0 && unit < walk.units(); unit += clusters)
        {
            walk.at(unit);
            int row = walk.row * ClusterRows + rank * TileRows, column = walk.column * TileColumns;
            int group = walk.begin / walk.groupBlocks, k = walk.begin - group * walk.groupBlocks;
            for (int i = walk.begin; i < walk.end; i++)
            {
                fill_stage<Across, Across>(ring, left, right, row, group, column, group, k * TileDepth, rank);
                if (++k == walk.groupBlocks)
                {
                    k = 0;
                    group++;
                }
            }
        }
    }
    else
    {
        raise_registers<WorkerRegisters>();
        int worker = threadIdx.x / WarpgroupThreads - 1, thread = threadIdx.x % WarpgroupThreads;
        float sums[SumTiles][4];
        for (int unit = cluster; unit < walk.units(); unit += clusters)
        {
            walk.at(unit);
            multiply<Across, Across>(sums, ring, worker, walk.end - walk.begin, walk.end - walk.begin);

            int block = walk.row * (walk.row + 1) / 2 + walk.column;
            int* ticket = tickets + (block * ClusterBlocks + rank) * Workers + worker;
            if (walk.chunk > 0)
            {
                if (thread == 0)
                    wait_turn(ticket, walk.chunk);
                group_sync(1 + worker, WarpgroupThreads);
            }
            bool add = walk.chunk > 0 || accumulate;
            int row = walk.row * ClusterRows + rank * TileRows + worker * PanelRows + thread / 32 * 16 + thread % 32 / 4;
            int column = walk.column * TileColumns + 2 * (thread % 4);
#pragma unroll
            for (int piece = 0; piece < Pieces; piece++, column += PanelColumns)
            {
                float2 old[8][2] = {};   // all read before any is written: one latency
#pragma unroll
                for (int n = 0; n < 8; n++)
                {
#pragma unroll
                    for (int half = 0; half < 2; half++)
                    {
                        if (add && row + 8 * half < size && column + 8 * n < size)
                            old[n][half] = __ldcg(reinterpret_cast<const float2*>(result + (row + 8 * half) * stride + column + 8 * n));
                    }
                }
#pragma unroll
                for (int n = 0; n < 8; n++)
                {
                    const float(&sum)[4] = sums[8 * piece + n];
#pragma unroll
                    for (int half = 0; half < 2; half++)
                    {
                        if (row + 8 * half < size && column + 8 * n < size)
                            *reinterpret_cast<float2*>(result + (row + 8 * half) * stride + column + 8 * n) =
                                make_float2(fmaf(alpha, sum[2 * half], old[n][half].x), fmaf(alpha, sum[2 * half + 1], old[n][half].y));
                    }
                }
            }
            if (walk.chunk + 1 < walk.chunks)
            {
                __threadfence();
                group_sync(1 + worker, WarpgroupThreads);
                if (thread == 0)
                    pass_turn(ticket, walk.chunk);
            }
        }
    }
    cluster_sync();
}

#define GRAM(NAME, ACROSS)                                                                                             \
    extern "C" __global__ void __cluster_dims__(ClusterBlocks, 1, 1) __launch_bounds__(GemmThreads, 1)                 \
        NAME(const __grid_constant__ TensorMap left, const __grid_constant__ TensorMap right,                          \
             float* __restrict__ result, int* __restrict__ tickets, size_t stride, int size, int groups, int depth,    \
             int chunks, int accumulate, float alpha)                                                                  \
    {                                                                                                                  \
        gram<ACROSS>(left, right, result, tickets, stride, size, GramWalk(size, groups, depth, chunks), accumulate,    \
                     alpha);                                                                                           \
    }

GRAM(gram_along_bf16, false)
GRAM(gram_across_bf16, true)
#endif
