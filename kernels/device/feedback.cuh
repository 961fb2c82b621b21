// Feedback of rounding errors to the tiles of one anti-diagonal: far products by TF32 tensor cores, near ones in f32.
// Fragments of mma.m16n8k8, lane = 4 g + t: a[0..3] rows g, g + 8, g, g + 8, columns t, t, t + 4, t + 4; b0, b1 column
// g, rows t, t + 4; d[0..3] row g columns 2t, 2t + 1, row g + 8 likewise.
#pragma once

#include "mma.cuh"
#include "reduce.cuh"

constexpr int BlockTiles = 8; // tiles along a side of a block
constexpr int Block = 16 * BlockTiles;

constexpr int FarThreads = 256;                                  // 2 x 4 warps of 64 x 32 results
constexpr int FarDepth = 16;                                     // terms in shared memory at a time
constexpr int FarRows = 4, FarColumns = 4;                       // 16-row and 8-column fragments of a warp
constexpr int RowStride = FarDepth + 4, DepthStride = Block + 8; // floats; fragments are read without bank conflicts
constexpr int FarPanelA = Block * RowStride, FarPanelB = FarDepth * DepthStride;
static_assert(FarPanelA >= FarPanelB, "a transposed left operand fits too");

struct FarPanels
{
    alignas(16) float stages[2][FarPanelA + FarPanelB];
};

// Nearest, ties away from zero.
__device__ __forceinline__ uint32_t round_tf32(float x)
{
    uint32_t rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(x));
    return rounded;
}

// d += a b.
__device__ __forceinline__ void mma_tf32(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
        "%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Copies source[row0 ..., depth ...], FarDepth columns of Block rows, by rows; rows from rows on become 0.
__device__ __forceinline__ void copy_rows(float* shared, const float* source, size_t stride, int row0, int rows,
                                          int depth)
{
    constexpr int Packs = FarDepth / 4;
#pragma unroll
    for (int i = threadIdx.x; i < Block * Packs; i += FarThreads)
    {
        int row = i / Packs, column = i % Packs * 4;
        bool valid = row0 + row < rows;
        copy_16_async(shared_address(shared + row * RowStride + column),
                      source + (valid ? row0 + row : row0) * stride + depth + column, valid);
    }
}

// Copies source[depth ..., column0 ...], FarDepth rows of Block columns; columns from columns on become 0.
__device__ __forceinline__ void copy_columns(float* shared, const float* source, size_t stride, int column0,
                                             int columns, int depth)
{
    constexpr int Packs = Block / 4;
#pragma unroll
    for (int i = threadIdx.x; i < FarDepth * Packs; i += FarThreads)
    {
        int row = i / Packs, column = i % Packs * 4;
        bool valid = column0 + column < columns;
        copy_16_async(shared_address(shared + row * DepthStride + column),
                      source + (depth + row) * stride + (valid ? column0 + column : column0), valid);
    }
}

// The 128 x 128 block at (row0, column0) of c (m, n) <- the sum over first <= k < last of op(a)[row, k] b[k, column]:
// op(a) = a, (m, stride_a), or its transpose, a (last, stride_a); b (last, n). first, last: multiples of 16.
template <bool TransposeA>
__device__ __forceinline__ void far_product(FarPanels& panels, float* c, const float* a, const float* b, int m, int n,
                                            int stride_a, int row0, int column0, int first, int last)
{
    int warp = threadIdx.x / WarpSize, g = threadIdx.x % WarpSize / 4, t = threadIdx.x % 4;
    int warp_row = warp / 4 * 64, warp_column = warp % 4 * 32;
    float sums[FarRows][FarColumns][4] = {};

    auto load = [&](int stage, int depth) {
        if constexpr (TransposeA)
            copy_columns(panels.stages[stage], a, stride_a, row0, m, depth);
        else
            copy_rows(panels.stages[stage], a, stride_a, row0, m, depth);
        copy_columns(panels.stages[stage] + FarPanelA, b, n, column0, n, depth);
        copy_commit();
    };
    if (first < last)
        load(0, first);
    for (int depth = first, stage = 0; depth < last; depth += FarDepth, stage ^= 1)
    {
        copy_wait();
        __syncthreads();
        if (depth + FarDepth < last)
            load(stage ^ 1, depth + FarDepth);
        const float* as = panels.stages[stage];
        const float* bs = panels.stages[stage] + FarPanelA + warp_column + g;
#pragma unroll 1
        for (int k = t; k < FarDepth; k += 8)
        {
            uint32_t right[FarColumns][2];
#pragma unroll
            for (int j = 0; j < FarColumns; j++)
            {
                right[j][0] = round_tf32(bs[k * DepthStride + j * 8]);
                right[j][1] = round_tf32(bs[(k + 4) * DepthStride + j * 8]);
            }
#pragma unroll
            for (int i = 0; i < FarRows; i++)
            {
                uint32_t left[4];
#pragma unroll
                for (int e = 0; e < 4; e++)
                {
                    int row = warp_row + i * 16 + g + e % 2 * 8, column = k + e / 2 * 4;
                    left[e] = round_tf32(TransposeA ? as[column * DepthStride + row] : as[row * RowStride + column]);
                }
#pragma unroll
                for (int j = 0; j < FarColumns; j++)
                    mma_tf32(sums[i][j], left, right[j][0], right[j][1]);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < FarRows; i++)
    {
#pragma unroll
        for (int half = 0; half < 2; half++)
        {
            int row = row0 + warp_row + i * 16 + half * 8 + g;
#pragma unroll
            for (int j = 0; j < FarColumns; j++)
            {
                int column = column0 + warp_column + j * 8 + 2 * t;
                if (row < m && column < n)
                {
                    float2 pair = make_float2(sums[i][j][2 * half], sums[i][j][2 * half + 1]);
                    *reinterpret_cast<float2*>(c + static_cast<size_t>(row) * n + column) = pair;
                }
            }
        }
    }
}

constexpr int NearWarps = 8;

// Eight neighbouring sums of a 16 x 16 tile += x times eight neighbours of a row.
__device__ __forceinline__ void add_scaled(float (&sums)[8], float x, const float* row)
{
    float4 low = *reinterpret_cast<const float4*>(row), high = *reinterpret_cast<const float4*>(row + 4);
    sums[0] = fmaf(x, low.x, sums[0]);
    sums[1] = fmaf(x, low.y, sums[1]);
    sums[2] = fmaf(x, low.z, sums[2]);
    sums[3] = fmaf(x, low.w, sums[3]);
    sums[4] = fmaf(x, high.x, sums[4]);
    sums[5] = fmaf(x, high.y, sums[5]);
    sums[6] = fmaf(x, high.z, sums[6]);
    sums[7] = fmaf(x, high.w, sums[7]);
}

// Lane's eight sums of the tile: row lane / 2, columns lane % 2 * 8 on.
__device__ __forceinline__ void store_sums(float* tile, const float (&sums)[8])
{
    float4* destination = reinterpret_cast<float4*>(tile + threadIdx.x % WarpSize * 8);
    destination[0] = make_float4(sums[0], sums[1], sums[2], sums[3]);
    destination[1] = make_float4(sums[4], sums[5], sums[6], sums[7]);
}

// sums (16, 16) <- the warp's share of E l_in from the tiles right of a tile, to the end of the next block. e: corner
// of the tile in w (m, n); l (n, n).
__device__ __forceinline__ void near_input(float* tile, const float* e, const float* l, int n, int column, int warp)
{
    int lane = threadIdx.x % WarpSize, end = min(n / 16, (column / BlockTiles + 2) * BlockTiles);
    float sums[8] = {};
    for (int other = column + 1 + warp; other < end; other += NearWarps)
    {
        const float* errors = e + static_cast<size_t>(lane / 2) * n + (other - column) * 16;
        const float* rows = l + static_cast<size_t>(other) * 16 * n + column * 16 + lane % 2 * 8;
#pragma unroll
        for (int k = 0; k < 16; k += 4)
        {
            float4 x = *reinterpret_cast<const float4*>(errors + k);
            add_scaled(sums, x.x, rows + static_cast<size_t>(k) * n);
            add_scaled(sums, x.y, rows + static_cast<size_t>(k + 1) * n);
            add_scaled(sums, x.z, rows + static_cast<size_t>(k + 2) * n);
            add_scaled(sums, x.w, rows + static_cast<size_t>(k + 3) * n);
        }
    }
    store_sums(tile, sums);
}

// sums (16, 16) <- the warp's share of l_out^T Z from the tiles below. z: corner of the tile in u (m, n); l (m, m).
__device__ __forceinline__ void near_output(float* tile, const float* z, const float* l, int m, int n, int row,
                                            int warp)
{
    int lane = threadIdx.x % WarpSize, end = min(m / 16, (row / BlockTiles + 2) * BlockTiles);
    float sums[8] = {};
    for (int other = row + 1 + warp; other < end; other += NearWarps)
    {
        const float* column = l + static_cast<size_t>(other) * 16 * m + row * 16 + lane / 2;
        const float* rows = z + static_cast<size_t>(other - row) * 16 * n + lane % 2 * 8;
#pragma unroll
        for (int k = 0; k < 16; k++)
            add_scaled(sums, column[static_cast<size_t>(k) * m], rows + static_cast<size_t>(k) * n);
    }
    store_sums(tile, sums);
}

__device__ __forceinline__ float sum_of_warps(const float (&sums)[NearWarps][256], int i)
{
    float sum = sums[0][i];
#pragma unroll
    for (int warp = 1; warp < NearWarps; warp++)
        sum += sums[warp][i];
    return sum;
}
