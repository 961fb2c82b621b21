// Attention forward on tensor cores: one block for 128 queries of one head, keys in blocks of 64, running softmax
// (arXiv:2205.14135). A warp owns 32 queries, so that each fragment of keys and values is used twice; the values are
// copied while the scores are computed, the next keys while the softmax is.
#pragma once
#include "attention_tiles.cuh"

constexpr int ForwardQueries = 128;
constexpr int ForwardKeys = 64;
constexpr int ForwardThreads = 128;

template <int Dimension>
__device__ __forceinline__ void attention_forward(bf16* __restrict__ output, float* __restrict__ logSumExp,
                                                  const bf16* __restrict__ q, const bf16* __restrict__ k,
                                                  const bf16* __restrict__ v, const AttentionWork* __restrict__ works,
                                                  size_t outputStride, size_t logSumExpStride, size_t qStride,
                                                  size_t kStride, size_t vStride, int heads, int keyHeads)
{
    constexpr int MTiles = 2, NTiles = ForwardKeys / 8, Steps = Dimension / 16, RowBytes = Dimension * 2;
    constexpr float Scale2 = ScoreScale<Dimension> * Log2E;
    extern __shared__ uint4 tiles[];
    const uint32_t queryTile = shared_address(tiles), keyTile = queryTile + ForwardQueries * RowBytes;
    const uint32_t valueTile = keyTile + ForwardKeys * RowBytes;

    const AttentionWork work = works[blockIdx.x / heads];
    const int head = blockIdx.x % heads, keyHead = head / (heads / keyHeads);
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, warpRow = threadIdx.x / 32 * (16 * MTiles);
    const size_t column = static_cast<size_t>(head) * Dimension, keyColumn = static_cast<size_t>(keyHead) * Dimension;
    const bf16* keys = k + work.keyRow * kStride + keyColumn;
    const bf16* values = v + work.keyRow * vStride + keyColumn;

    load_tile<Dimension, ForwardQueries, ForwardThreads>(queryTile, q + work.queryRow * qStride + column, qStride,
                                                         work.queries);
    load_tile<Dimension, ForwardKeys, ForwardThreads>(keyTile, keys, kStride, work.keys);
    copy_commit();

    // Addresses of ldmatrix: the row is fixed, the 16-column step s is added as an exclusive or of s * 32.
    const int swizzle = (lane & 7) << 4;
    const uint32_t queryRows = queryTile + (warpRow + lane % 16) * RowBytes, querySwizzle = swizzle ^ (lane / 16 << 4);
    const uint32_t keyRows = keyTile + (lane % 8 + lane / 16 * 8) * RowBytes,
                   keySwizzle = swizzle ^ (lane / 8 % 2 << 4);
    const uint32_t valueRows = valueTile + lane % 16 * RowBytes, valueSwizzle = querySwizzle;

    float sums[MTiles][Dimension / 8][4] = {}, maximum[MTiles][2], normaliser[MTiles][2] = {};
#pragma unroll
    for (int m = 0; m < MTiles; m++)
        maximum[m][0] = maximum[m][1] = -INFINITY;

    // The last key that the first query of this warp sees; a warp without queries sees none.
    const int reach = warpRow < work.queries ? work.diagonal + warpRow : -ForwardQueries;
    for (int firstKey = 0; firstKey < work.keys; firstKey += ForwardKeys)
    {
        copy_wait();
        __syncthreads();
        load_tile<Dimension, ForwardKeys, ForwardThreads>(valueTile, values, vStride, work.keys - firstKey);
        copy_commit();
        values += ForwardKeys * vStride;

        // Whether any query of this warp sees a key of the block.
        const bool active = firstKey <= reach + 16 * MTiles - 1;
        float scores[MTiles][NTiles][4];
        if (active)
        {
#pragma unroll
            for (int m = 0; m < MTiles; m++)
#pragma unroll
                for (int n = 0; n < NTiles; n++)
                    scores[m][n][0] = scores[m][n][1] = scores[m][n][2] = scores[m][n][3] = 0.0f;
// Not wholly: eight addresses kept over the loop would not fit the registers.
#pragma unroll 4
            for (int s = 0; s < Steps; s++)
            {
                uint32_t a[MTiles][4];
#pragma unroll
                for (int m = 0; m < MTiles; m++)
                    load_matrices(a[m], queryRows + m * 16 * RowBytes + (querySwizzle ^ (s * 32)));
#pragma unroll
                for (int n = 0; n < NTiles; n += 2)
                {
                    uint32_t b[4];
                    load_matrices(b, keyRows + n * 8 * RowBytes + (keySwizzle ^ (s * 32)));
#pragma unroll
                    for (int m = 0; m < MTiles; m++)
                    {
                        mma_bf16(scores[m][n], a[m], b[0], b[1]);
                        mma_bf16(scores[m][n + 1], a[m], b[2], b[3]);
                    }
                }
            }
        }

        copy_wait();
        __syncthreads();
        if (firstKey + ForwardKeys < work.keys)
        {
            keys += ForwardKeys * kStride;
            load_tile<Dimension, ForwardKeys, ForwardThreads>(keyTile, keys, kStride,
                                                              work.keys - firstKey - ForwardKeys);
            copy_commit();
        }
        if (!active)
            continue;

        // Keys past the sequence are hidden from every query that is stored, by the same comparison.
        if (firstKey + ForwardKeys - 1 > reach)
        {
            const int edge = reach - firstKey + g - t * 2;
#pragma unroll
            for (int m = 0; m < MTiles; m++)
#pragma unroll
                for (int n = 0; n < NTiles; n++)
#pragma unroll
                    for (int e = 0; e < 4; e++)
                        if (n * 8 + e % 2 > m * 16 + e / 2 * 8 + edge)
                            scores[m][n][e] = -INFINITY;
        }

        // Key 0 is in the first block and seen by every query, so the maximum is finite.
#pragma unroll
        for (int m = 0; m < MTiles; m++)
#pragma unroll
            for (int h = 0; h < 2; h++)
            {
                float largest = maximum[m][h];
#pragma unroll
                for (int n = 0; n < NTiles; n++)
                    largest = fmaxf(largest, fmaxf(scores[m][n][2 * h], scores[m][n][2 * h + 1]));
                largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
                largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
                const float factor = exp2_approximate((maximum[m][h] - largest) * Scale2), offset = largest * Scale2;
                maximum[m][h] = largest;
                float sum = normaliser[m][h] * factor;
#pragma unroll
                for (int n = 0; n < NTiles; n++)
#pragma unroll
                    for (int e = 2 * h; e < 2 * h + 2; e++)
                        sum += scores[m][n][e] = exp2_approximate(fmaf(scores[m][n][e], Scale2, -offset));
                normaliser[m][h] = sum;
                // Maxima soon stop growing.
                if (__any_sync(0xffffffffu, factor != 1.0f))
                {
#pragma unroll
                    for (int n = 0; n < Dimension / 8; n++)
                    {
                        sums[m][n][2 * h] *= factor;
                        sums[m][n][2 * h + 1] *= factor;
                    }
                }
            }

#pragma unroll
        for (int s = 0; s < NTiles / 2; s++)
        {
            uint32_t a[MTiles][4];
#pragma unroll
            for (int m = 0; m < MTiles; m++)
                pack_fragment(a[m], scores[m][2 * s], scores[m][2 * s + 1]);
#pragma unroll
            for (int n = 0; n < Dimension / 8; n += 2)
            {
                uint32_t b[4];
                load_matrices_transposed(b, valueRows + s * 16 * RowBytes + (valueSwizzle ^ (n * 16)));
#pragma unroll
                for (int m = 0; m < MTiles; m++)
                {
                    mma_bf16(sums[m][n], a[m], b[0], b[1]);
                    mma_bf16(sums[m][n + 1], a[m], b[2], b[3]);
                }
            }
        }
    }

#pragma unroll
    for (int m = 0; m < MTiles; m++)
    {
#pragma unroll
        for (int h = 0; h < 2; h++)
        {
            normaliser[m][h] += __shfl_xor_sync(0xffffffffu, normaliser[m][h], 1);
            normaliser[m][h] += __shfl_xor_sync(0xffffffffu, normaliser[m][h], 2);
            const int row = warpRow + m * 16 + h * 8 + g;
            if (t == 0 && row < work.queries && logSumExp != nullptr)
            {
                logSumExp[(static_cast<size_t>(work.queryRow) + row) * logSumExpStride + head] =
                    fmaf(maximum[m][h], ScoreScale<Dimension>, logf(normaliser[m][h]));
            }
        }
        store_rows<Dimension>(queryTile, warpRow + m * 16, sums[m], 1.0f / normaliser[m][0], 1.0f / normaliser[m][1],
                              output + work.queryRow * outputStride + column, outputStride, work.queries);
    }
}
