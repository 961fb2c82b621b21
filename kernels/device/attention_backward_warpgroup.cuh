// Attention backward on warpgroups (compute capability 9.0): the two kernels of attention_backward.cuh with larger
// tiles, which a warp copies ahead of two warpgroups. P and ds never leave the registers: the first products leave them
// as the left operands of the second. Rows past the end of a tile are as in attention_backward.cuh.
#pragma once
#include "attention_panels.cuh"

// One block: dk and dv of 128 keys, over the query heads of the group and tiles of 64 queries. A warpgroup owns 64 keys
// and computes transposed scores.
template <int Dimension>
__device__ __forceinline__ void
attention_backward_key_warpgroup(bf16* __restrict__ dk, bf16* __restrict__ dv, const TensorMap& dOutput,
                                 const TensorMap& q, const TensorMap& k, const TensorMap& v,
                                 const float2* __restrict__ terms, const AttentionWork* __restrict__ works,
                                 size_t dkStride, size_t dvStride, size_t termsStride, int heads, int keyHeads)
{
    constexpr int Keys = 2 * WarpgroupRows, Queries = 64, Stages = 3;
    constexpr int KeyBytes = TileBytes<Dimension, Keys>, QueryBytes = TileBytes<Dimension, Queries>;
    constexpr float Scale = ScoreScale<Dimension>;
    extern __shared__ __align__(1024) uint4 tiles[];
    const uint32_t keyTile = shared_address(tiles), valueTile = keyTile + KeyBytes;
    const uint32_t queryTiles = valueTile + KeyBytes, gradientTiles = queryTiles + Stages * QueryBytes;
    Ring<1> landed(gradientTiles + Stages * QueryBytes), keyRing(landed.end());
    Ring<Stages> ring(keyRing.end());

    const int warp = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0), lane = threadIdx.x % 32;
    if (threadIdx.x == 0)
    {
        landed.init(1, 1);
        keyRing.init(2, ConsumerWarps);
        ring.init(2, ConsumerWarps);
        barrier_init_done();
    }
    __syncthreads();

    const AttentionWork work = works[blockIdx.x / keyHeads];
    const int keyHead = blockIdx.x % keyHeads, column = keyHead * Dimension;
    const int firstHead = keyHead * (heads / keyHeads), lastHead = firstHead + heads / keyHeads;
    if (warp < WarpgroupThreads / 32)
    {
        lower_registers<ProducerRegisters>();
        if (warp > 0)
            return;
        copy_tile<Dimension, Keys>(keyTile, k, work.keyRow, column, Keys, keyRing.full(), landed);
        copy_tile<Dimension, Keys>(valueTile, v, work.keyRow, column, Keys, keyRing.full(), landed);
        for (int head = firstHead; head < lastHead; head++)
            for (int first = 0; first < work.queries; first += Queries, ring.advance())
            {
                const int row = work.queryRow + first, rows = work.queries - first;
                ring.wait_free();
                copy_tile<Dimension, Queries>(queryTiles + ring.stage * QueryBytes, q, row, head * Dimension, rows,
                                              ring.full(), landed);
                copy_tile<Dimension, Queries>(gradientTiles + ring.stage * QueryBytes, dOutput, row, head * Dimension,
                                              rows, ring.full(), landed);
            }
        return;
    }

    raise_registers<ConsumerRegisters>();
    const int groupRow = (warp / 4 - 1) * WarpgroupRows, warpRow = (warp - 4) * 16, g = lane / 4, t = lane % 4;
    float keySums[Dimension / 8][4] = {}, valueSums[Dimension / 8][4] = {};
    float p[Queries / 8][4], ds[Queries / 8][4];
    uint32_t left[Queries / 16][4] = {};
    uint32_t used = 0; // barrier of the stage whose last product is not yet waited for
    keyRing.wait_full();
    for (int head = firstHead; head < lastHead; head++)
        for (int first = 0; first < work.queries; first += Queries, ring.advance())
        {
            // Whether any query of the tile sees a key of this warpgroup.
            if (groupRow > first + Queries - 1 + work.diagonal || groupRow >= work.keys)
            {
                ring.wait_full();
                release(ring.free());
                continue;
            }

            // The sums begin with what is to be subtracted, (logSumExp, delta) of the query in whose column they are: p
            // becomes score - logSumExp before scaling, ds becomes dp - delta.
            const float2* from = terms + head * termsStride + work.queryRow + first + t * 2;
            const int rows = work.queries - first - t * 2;
#pragma unroll
            for (int n = 0; n < Queries / 8; n++)
#pragma unroll
                for (int e = 0; e < 2; e++)
                {
                    const float2 term = n * 8 + e < rows ? from[n * 8 + e] : make_float2(0.0f, 0.0f);
                    p[n][e] = p[n][e + 2] = term.x * (-1.0f / Scale);
                    ds[n][e] = ds[n][e + 2] = -term.y;
                }
            ring.wait_full();
            const uint32_t queryTile = queryTiles + ring.stage * QueryBytes,
                           gradientTile = gradientTiles + ring.stage * QueryBytes;
            wgmma_begin(p, ds);
            multiply_rows<Dimension, Keys, Queries, true>(p, keyTile, groupRow, queryTile);
            multiply_rows<Dimension, Keys, Queries, true>(ds, valueTile, groupRow, gradientTile);
            wgmma_wait<1>(p, keySums, left);
            if (used != 0)
                release(used);
            used = ring.free();

#pragma unroll
            for (int n = 0; n < Queries / 8; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    p[n][e] = exp2_approximate(p[n][e] * (Scale * Log2E));
            if (groupRow + WarpgroupRows - 1 > first + work.diagonal)
            {
                const int edge = first + work.diagonal - warpRow - g + t * 2;
#pragma unroll
                for (int n = 0; n < Queries / 8; n++)
#pragma unroll
                    for (int e = 0; e < 4; e++)
                        if (e / 2 * 8 > edge + n * 8 + e % 2)
                            p[n][e] = 0.0f;
            }
#pragma unroll
            for (int s = 0; s < Queries / 16; s++)
                pack_fragment(left[s], p[2 * s], p[2 * s + 1]);
            wgmma_begin(valueSums, left);
            add_weighted_rows<Dimension, Queries>(valueSums, left, gradientTile);
            wgmma_wait<1>(ds);
#pragma unroll
            for (int n = 0; n < Queries / 8; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    ds[n][e] *= p[n][e];
            wgmma_wait<0>(valueSums, left);
#pragma unroll
            for (int s = 0; s < Queries / 16; s++)
                pack_fragment(left[s], ds[2 * s], ds[2 * s + 1]);
            wgmma_begin(keySums, left);
            add_weighted_rows<Dimension, Queries>(keySums, left, queryTile);
        }
    wgmma_wait<0>(keySums, valueSums);

    // Keys and values are no longer read: their room is for the way out.
    group_sync(1, 2 * WarpgroupThreads);
    store_rows<Dimension>(keyTile, warpRow, keySums, Scale, Scale, dk + work.keyRow * dkStride + column, dkStride,
                          work.keys);
    store_rows<Dimension>(valueTile, warpRow, valueSums, 1.0f, 1.0f, dv + work.keyRow * dvStride + column, dvStride,
                          work.keys);
}

// Blocks stay and take 128 queries of one head after another: dq, over tiles of 64 keys. A warpgroup owns 64 queries.
template <int Dimension>
__device__ __forceinline__ void
attention_backward_query_warpgroup(bf16* __restrict__ dq, const TensorMap& dOutput, const TensorMap& q,
                                   const TensorMap& k, const TensorMap& v, const float2* __restrict__ terms,
                                   const AttentionWork* __restrict__ works, size_t dqStride, size_t termsStride,
                                   int items, int heads, int keyHeads)
{
    constexpr int Queries = 2 * WarpgroupRows, Keys = 64, Stages = 4;
    constexpr int QueryBytes = TileBytes<Dimension, Queries>, KeyBytes = TileBytes<Dimension, Keys>;
    constexpr float Scale = ScoreScale<Dimension>;
    extern __shared__ __align__(1024) uint4 tiles[];
    const uint32_t queryTile = shared_address(tiles), gradientTile = queryTile + QueryBytes;
    const uint32_t outputTile = gradientTile + QueryBytes, keyTiles = outputTile + QueryBytes;
    const uint32_t valueTiles = keyTiles + Stages * KeyBytes;
    Ring<1> landed(valueTiles + Stages * KeyBytes), queryRing(landed.end());
    Ring<Stages> ring(queryRing.end());

    const int warp = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0), lane = threadIdx.x % 32;
    if (threadIdx.x == 0)
    {
        landed.init(1, 1);
        queryRing.init(2, ConsumerWarps);
        ring.init(2, ConsumerWarps);
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
            queryRing.wait_free();
            copy_tile<Dimension, Queries>(queryTile, q, work.queryRow, head * Dimension, Queries, queryRing.full(),
                                          landed);
            copy_tile<Dimension, Queries>(gradientTile, dOutput, work.queryRow, head * Dimension, Queries,
                                          queryRing.full(), landed);
            queryRing.advance();
            for (int first = 0; first < work.keys; first += Keys, ring.advance())
            {
                ring.wait_free();
                copy_tile<Dimension, Keys>(keyTiles + ring.stage * KeyBytes, k, work.keyRow + first, keyColumn,
                                           work.keys - first, ring.full(), landed);
                copy_tile<Dimension, Keys>(valueTiles + ring.stage * KeyBytes, v, work.keyRow + first, keyColumn,
                                           work.keys - first, ring.full(), landed);
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
        float logSumExp2[2] = {}, delta[2] = {};
#pragma unroll
        for (int h = 0; h < 2; h++)
        {
            const int row = warpRow + h * 8 + g;
            if (row < work.queries)
            {
                const float2 term = terms[head * termsStride + work.queryRow + row];
                logSumExp2[h] = term.x * Log2E;
                delta[h] = term.y;
            }
        }
        float sums[Dimension / 8][4] = {}, p[Keys / 8][4], ds[Keys / 8][4];
        uint32_t left[Keys / 16][4] = {};
        uint32_t used = 0; // barrier of the stage whose last product is not yet waited for
        queryRing.wait_full();
        for (int first = 0; first < work.keys; first += Keys, ring.advance())
        {
            ring.wait_full();
            // Whether any query of this warpgroup sees a key of the tile.
            if (first > work.diagonal + groupRow + WarpgroupRows - 1)
            {
                release(ring.free());
                continue;
            }
            const uint32_t keyTile = keyTiles + ring.stage * KeyBytes;
            wgmma_begin(p, ds);
            multiply_rows<Dimension, Queries, Keys>(p, queryTile, groupRow, keyTile);
            multiply_rows<Dimension, Queries, Keys>(ds, gradientTile, groupRow, valueTiles + ring.stage * KeyBytes);
            wgmma_wait<1>(p, sums, left);
            if (used != 0)
                release(used);
            used = ring.free();

#pragma unroll
            for (int n = 0; n < Keys / 8; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    p[n][e] = exp2_approximate(fmaf(p[n][e], Scale * Log2E, -logSumExp2[e / 2]));
            if (first + Keys - 1 > work.diagonal + groupRow)
            {
                const int edge = work.diagonal + warpRow - first + g - t * 2;
#pragma unroll
                for (int n = 0; n < Keys / 8; n++)
#pragma unroll
                    for (int e = 0; e < 4; e++)
                        if (n * 8 + e % 2 > e / 2 * 8 + edge)
                            p[n][e] = 0.0f;
            }
            wgmma_wait<0>(ds);
#pragma unroll
            for (int n = 0; n < Keys / 8; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    ds[n][e] = p[n][e] * (ds[n][e] - delta[e / 2]);
#pragma unroll
            for (int s = 0; s < Keys / 16; s++)
                pack_fragment(left[s], ds[2 * s], ds[2 * s + 1]);
            wgmma_begin(sums, left);
            add_weighted_rows<Dimension, Keys>(sums, left, keyTile);
        }
        wgmma_wait<0>(sums);
        release(used);
        release(queryRing.free());
        queryRing.advance();
        store_rows<Dimension>(outputTile, warpRow, sums, Scale, Scale,
                              dq + work.queryRow * dqStride + static_cast<size_t>(head) * Dimension, dqStride,
                              work.queries);
    }
}
