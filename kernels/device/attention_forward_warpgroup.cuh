// Attention forward on warpgroups (compute capability 9.0). Blocks stay and take 128 queries of one head after another;
// a warp copies keys and values, 128 at a time, ahead of two warpgroups of 64 queries each. The scores of a tile are
// multiplied together with the sums of the tile before, and its softmax runs beside the latter (arXiv:2407.08608).
#pragma once
#include "attention_panels.cuh"

template <int Dimension>
__device__ __forceinline__ void
attention_forward_warpgroup(bf16* __restrict__ output, float* __restrict__ logSumExp, const TensorMap& q,
                            const TensorMap& k, const TensorMap& v, const AttentionWork* __restrict__ works,
                            size_t outputStride, size_t logSumExpStride, int items, int heads, int keyHeads)
{
    constexpr int Queries = 2 * WarpgroupRows, Keys = 128, Stages = 2;
    constexpr int QueryBytes = TileBytes<Dimension, Queries>, KeyBytes = TileBytes<Dimension, Keys>;
    constexpr float Scale2 = ScoreScale<Dimension> * Log2E;
    extern __shared__ __align__(1024) uint4 tiles[];
    const uint32_t queryTile = shared_address(tiles), outputTile = queryTile + QueryBytes;
    const uint32_t keyTiles = outputTile + QueryBytes, valueTiles = keyTiles + Stages * KeyBytes;
    Ring<1> landed(valueTiles + Stages * KeyBytes), queryRing(landed.end());
    Ring<Stages> keyRing(queryRing.end()), valueRing(keyRing.end());

    // Taken from one lane, so that the compiler knows it to be the same in all of a warp.
    const int warp = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0), lane = threadIdx.x % 32;
    if (threadIdx.x == 0)
    {
        landed.init(1, 1);
        queryRing.init(1, ConsumerWarps);
        keyRing.init(1, ConsumerWarps);
        valueRing.init(1, ConsumerWarps);
        barrier_init_done();
    }
    __syncthreads();

    if (warp < WarpgroupThreads / 32)
    {
        lower_registers<ProducerRegisters>();
        if (warp > 0)
            return;
        for (int round = 0; round * gridDim.x < items; round++)
        {
            const int item = round_item(round);
            if (item >= items)
                break;
            const AttentionWork work = works[item / heads];
            const int head = item % heads, keyColumn = head / (heads / keyHeads) * Dimension;
            for (int first = 0; first < work.keys; first += Keys)
            {
                keyRing.wait_free();
                copy_tile<Dimension, Keys>(keyTiles + keyRing.stage * KeyBytes, k, work.keyRow + first, keyColumn,
                                           work.keys - first, keyRing.full(), landed);
                keyRing.advance();
                if (first == 0)
                {
                    queryRing.wait_free();
                    copy_tile<Dimension, Queries>(queryTile, q, work.queryRow, head * Dimension, Queries,
                                                  queryRing.full(), landed);
                    queryRing.advance();
                }
                valueRing.wait_free();
                copy_tile<Dimension, Keys>(valueTiles + valueRing.stage * KeyBytes, v, work.keyRow + first, keyColumn,
                                           work.keys - first, valueRing.full(), landed);
                valueRing.advance();
            }
        }
        return;
    }

    raise_registers<ConsumerRegisters>();
    const int groupRow = (warp / 4 - 1) * WarpgroupRows, warpRow = (warp - 4) * 16, g = lane / 4, t = lane % 4;
    for (int round = 0; round * gridDim.x < items; round++)
    {
        const int item = round_item(round);
        if (item >= items)
            break;
        const AttentionWork work = works[item / heads];
        const int head = item % heads;
        float scores[Keys / 8][4], sums[Dimension / 8][4] = {};
        float maximum[2] = {-INFINITY, -INFINITY}, normaliser[2] = {}, factor[2];
        uint32_t p[Keys / 16][4];

        // scores becomes p before its division by the normaliser; what was summed before is to be multiplied by factor.
        const auto softmax = [&](int firstKey)
        {
            // Keys past the sequence are hidden from every query that is stored, by the same comparison.
            if (firstKey + Keys - 1 > work.diagonal + groupRow)
            {
                const int edge = work.diagonal + warpRow - firstKey + g - t * 2;
#pragma unroll
                for (int n = 0; n < Keys / 8; n++)
#pragma unroll
                    for (int e = 0; e < 4; e++)
                        if (n * 8 + e % 2 > e / 2 * 8 + edge)
                            scores[n][e] = -INFINITY;
            }
            // Key 0 is in the first tile and seen by every query, so the maximum is finite.
#pragma unroll
            for (int h = 0; h < 2; h++)
            {
                float largest = maximum[h], other = maximum[h]; // two chains, which run beside each other
#pragma unroll
                for (int n = 0; n < Keys / 8; n += 2)
                {
                    largest = fmaxf(largest, fmaxf(scores[n][2 * h], scores[n][2 * h + 1]));
                    other = fmaxf(other, fmaxf(scores[n + 1][2 * h], scores[n + 1][2 * h + 1]));
                }
                largest = fmaxf(largest, other);
                largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
                largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
                factor[h] = exp2_approximate((maximum[h] - largest) * Scale2);
                maximum[h] = largest;
                const float offset = largest * Scale2;
                float sum = normaliser[h] * factor[h];
#pragma unroll
                for (int n = 0; n < Keys / 8; n++)
#pragma unroll
                    for (int e = 2 * h; e < 2 * h + 2; e++)
                        sum += scores[n][e] = exp2_approximate(fmaf(scores[n][e], Scale2, -offset));
                normaliser[h] = sum;
            }
        };
        const auto pack = [&]
        {
#pragma unroll
            for (int s = 0; s < Keys / 16; s++)
                pack_fragment(p[s], scores[2 * s], scores[2 * s + 1]);
        };
        const auto multiply_keys = [&]
        { multiply_rows<Dimension, Queries, Keys>(scores, queryTile, groupRow, keyTiles + keyRing.stage * KeyBytes); };
        const auto add_values = [&]
        {
            valueRing.wait_full();
            wgmma_begin();
            add_weighted_rows<Dimension, Keys>(sums, p, valueTiles + valueRing.stage * KeyBytes);
        };

        queryRing.wait_full();
        keyRing.wait_full();
        wgmma_begin(scores);
        multiply_keys();
        wgmma_wait<0>(scores);
        release(keyRing.free());
        keyRing.advance();
        softmax(0);
        pack();
        for (int firstKey = Keys; firstKey < work.keys; firstKey += Keys)
        {
            keyRing.wait_full();
            wgmma_begin(scores, sums, p);
            multiply_keys();
            add_values();
            wgmma_wait<1>(scores);
            release(keyRing.free());
            keyRing.advance();
            softmax(firstKey);
            wgmma_wait<0>(sums, p);
            release(valueRing.free());
            valueRing.advance();
#pragma unroll
            for (int n = 0; n < Dimension / 8; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    sums[n][e] *= factor[e / 2];
            pack();
        }
        release(queryRing.free());
        queryRing.advance();
        wgmma_begin(sums, p);
        add_values();
#pragma unroll
        for (int h = 0; h < 2; h++)
        {
            normaliser[h] += __shfl_xor_sync(0xffffffffu, normaliser[h], 1);
            normaliser[h] += __shfl_xor_sync(0xffffffffu, normaliser[h], 2);
            const int row = warpRow + h * 8 + g;
            if (t == 0 && row < work.queries && logSumExp != nullptr)
            {
                logSumExp[(static_cast<size_t>(work.queryRow) + row) * logSumExpStride + head] =
                    fmaf(maximum[h], ScoreScale<Dimension>, logf(normaliser[h]));
            }
        }
        wgmma_wait<0>(sums);
        release(valueRing.free());
        valueRing.advance();
        store_rows<Dimension>(outputTile, warpRow, sums, 1.0f / normaliser[0], 1.0f / normaliser[1],
                              output + work.queryRow * outputStride + static_cast<size_t>(head) * Dimension,
                              outputStride, work.queries);
    }
}
