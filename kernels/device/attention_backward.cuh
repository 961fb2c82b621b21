// Attention backward on tensor cores. The probabilities are recomputed from logSumExp (arXiv:2205.14135, algorithm 4);
// keys and queries have a kernel each, so that every gradient is summed by one block in a fixed order. Rows past the
// end of a tile are zeros with terms of 0: their p is 1 or less, their products with do and k are 0.
#pragma once
#include "attention_tiles.cuh"

constexpr int KeyKernelKeys = 128;
constexpr int KeyKernelQueries = 32;
constexpr int KeyKernelThreads = 256;

// One block: dk and dv of 128 keys, over the query heads of the group and blocks of 32 queries, which arrive while the
// block before is used. A warp owns 16 keys and computes transposed scores, so that p and ds are left operands as is.
template <int Dimension>
__device__ __forceinline__ void
attention_backward_key(bf16* __restrict__ dk, bf16* __restrict__ dv, const bf16* __restrict__ dOutput,
                       const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v,
                       const float2* __restrict__ terms, const AttentionWork* __restrict__ works, size_t dkStride,
                       size_t dvStride, size_t dOutputStride, size_t qStride, size_t kStride, size_t vStride,
                       size_t termsStride, int heads, int keyHeads)
{
    constexpr int NTiles = KeyKernelQueries / 8, Steps = Dimension / 16, RowBytes = Dimension * 2;
    constexpr int QueryBytes = KeyKernelQueries * RowBytes, TermBytes = KeyKernelQueries * 8;
    constexpr float Scale2 = ScoreScale<Dimension> * Log2E;
    extern __shared__ uint4 tiles[];
    const uint32_t keyTile = shared_address(tiles), valueTile = keyTile + KeyKernelKeys * RowBytes;
    const uint32_t queryTile = valueTile + KeyKernelKeys * RowBytes, gradientTile = queryTile + 2 * QueryBytes;
    const uint32_t termTile = gradientTile + 2 * QueryBytes;

    const AttentionWork work = works[blockIdx.x / keyHeads];
    const int keyHead = blockIdx.x % keyHeads, groupHeads = heads / keyHeads;
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, warpRow = threadIdx.x / 32 * 16;
    const size_t column = static_cast<size_t>(keyHead) * Dimension;

    const auto load_queries = [&](int stage, int head, int first)
    {
        const size_t row = static_cast<size_t>(work.queryRow) + first,
                     headColumn = static_cast<size_t>(head) * Dimension;
        const int rows = work.queries - first;
        load_tile<Dimension, KeyKernelQueries, KeyKernelThreads>(queryTile + stage * QueryBytes,
                                                                 q + row * qStride + headColumn, qStride, rows);
        load_tile<Dimension, KeyKernelQueries, KeyKernelThreads>(
            gradientTile + stage * QueryBytes, dOutput + row * dOutputStride + headColumn, dOutputStride, rows);
        if (threadIdx.x < KeyKernelQueries)
        {
            const int i = threadIdx.x;
            copy_8_async(termTile + stage * TermBytes + i * 8, terms + head * termsStride + row + i, i < rows);
        }
    };

    load_tile<Dimension, KeyKernelKeys, KeyKernelThreads>(keyTile, k + work.keyRow * kStride + column, kStride,
                                                          work.keys);
    load_tile<Dimension, KeyKernelKeys, KeyKernelThreads>(valueTile, v + work.keyRow * vStride + column, vStride,
                                                          work.keys);
    int head = keyHead * groupHeads, first = 0, stage = 0;
    load_queries(stage, head, first);
    copy_commit();

    const int swizzle = (lane & 7) << 4;
    const uint32_t leftRow = (warpRow + lane % 16) * RowBytes, leftSwizzle = swizzle ^ (lane / 16 << 4);
    const uint32_t rightRow = (lane % 8 + lane / 16 * 8) * RowBytes, rightSwizzle = swizzle ^ (lane / 8 % 2 << 4);
    const uint32_t transposedRow = lane % 16 * RowBytes;
    float keySums[Dimension / 8][4] = {}, valueSums[Dimension / 8][4] = {};

    const int lastHead = (keyHead + 1) * groupHeads;
    while (head < lastHead)
    {
        copy_wait();
        __syncthreads();
        const int queries = first, current = stage;
        first += KeyKernelQueries;
        stage ^= 1;
        if (first >= work.queries)
        {
            first = 0;
            head++;
        }
        if (head < lastHead)
        {
            load_queries(stage, head, first);
            copy_commit();
        }

        // Whether any query of the block sees a key of this warp.
        if (warpRow > queries + KeyKernelQueries - 1 + work.diagonal || warpRow >= work.keys)
            continue;
        const uint32_t queryRows = queryTile + current * QueryBytes, gradientRows = gradientTile + current * QueryBytes;

        float p[NTiles][4] = {}, ds[NTiles][4] = {};
#pragma unroll
        for (int s = 0; s < Steps; s++)
        {
            uint32_t a[4], b[4];
            load_matrices(a, keyTile + leftRow + (leftSwizzle ^ (s * 32)));
#pragma unroll
            for (int n = 0; n < NTiles; n += 2)
            {
                load_matrices(b, queryRows + rightRow + n * 8 * RowBytes + (rightSwizzle ^ (s * 32)));
                mma_bf16(p[n], a, b[0], b[1]);
                mma_bf16(p[n + 1], a, b[2], b[3]);
            }
            load_matrices(a, valueTile + leftRow + (leftSwizzle ^ (s * 32)));
#pragma unroll
            for (int n = 0; n < NTiles; n += 2)
            {
                load_matrices(b, gradientRows + rightRow + n * 8 * RowBytes + (rightSwizzle ^ (s * 32)));
                mma_bf16(ds[n], a, b[0], b[1]);
                mma_bf16(ds[n + 1], a, b[2], b[3]);
            }
        }

        const bool masked = warpRow + 15 > queries + work.diagonal;
#pragma unroll
        for (int n = 0; n < NTiles; n++)
        {
            // (logSumExp, delta) of the two queries whose columns this lane holds.
            const float4 term = load_shared_float4(termTile + current * TermBytes + (n * 8 + t * 2) * 8);
#pragma unroll
            for (int e = 0; e < 4; e++)
            {
                const float logSumExp = e % 2 == 0 ? term.x : term.z, delta = e % 2 == 0 ? term.y : term.w;
                p[n][e] = exp2_approximate(fmaf(p[n][e], Scale2, -logSumExp * Log2E));
                if (masked && warpRow + g + e / 2 * 8 > queries + n * 8 + t * 2 + e % 2 + work.diagonal)
                    p[n][e] = 0.0f;
                ds[n][e] = p[n][e] * (ds[n][e] - delta);
            }
        }

#pragma unroll
        for (int s = 0; s < NTiles / 2; s++)
        {
            uint32_t a[4], b[4];
            pack_fragment(a, p[2 * s], p[2 * s + 1]);
#pragma unroll
            for (int n = 0; n < Dimension / 8; n += 2)
            {
                load_matrices_transposed(b,
                                         gradientRows + transposedRow + s * 16 * RowBytes + (leftSwizzle ^ (n * 16)));
                mma_bf16(valueSums[n], a, b[0], b[1]);
                mma_bf16(valueSums[n + 1], a, b[2], b[3]);
            }
            pack_fragment(a, ds[2 * s], ds[2 * s + 1]);
#pragma unroll
            for (int n = 0; n < Dimension / 8; n += 2)
            {
                load_matrices_transposed(b, queryRows + transposedRow + s * 16 * RowBytes + (leftSwizzle ^ (n * 16)));
                mma_bf16(keySums[n], a, b[0], b[1]);
                mma_bf16(keySums[n + 1], a, b[2], b[3]);
            }
        }
    }

    constexpr float Scale = ScoreScale<Dimension>;
    store_rows<Dimension>(keyTile, warpRow, keySums, Scale, Scale, dk + work.keyRow * dkStride + column, dkStride,
                          work.keys);
    store_rows<Dimension>(valueTile, warpRow, valueSums, 1.0f, 1.0f, dv + work.keyRow * dvStride + column, dvStride,
                          work.keys);
}

constexpr int QueryKernelQueries = 128;
constexpr int QueryKernelKeys = 64;
constexpr int QueryKernelThreads = 256;

// One block: dq of 128 queries of one head, over blocks of 64 keys, which arrive while the block before is used. A warp
// owns 16 queries, whose q and do stay in registers; it takes a key block in two halves.
template <int Dimension>
__device__ __forceinline__ void
attention_backward_query(bf16* __restrict__ dq, const bf16* __restrict__ dOutput, const bf16* __restrict__ q,
                         const bf16* __restrict__ k, const bf16* __restrict__ v, const float2* __restrict__ terms,
                         const AttentionWork* __restrict__ works, size_t dqStride, size_t dOutputStride, size_t qStride,
                         size_t kStride, size_t vStride, size_t termsStride, int heads, int keyHeads)
{
    constexpr int Half = QueryKernelKeys / 2, NTiles = Half / 8, Steps = Dimension / 16, RowBytes = Dimension * 2;
    constexpr int KeyBytes = QueryKernelKeys * RowBytes;
    constexpr float Scale2 = ScoreScale<Dimension> * Log2E;
    static_assert(QueryKernelQueries == 2 * QueryKernelKeys, "q and do take the room of two blocks of keys and values");
    extern __shared__ uint4 tiles[];
    const uint32_t keyTile = shared_address(tiles), valueTile = keyTile + 2 * KeyBytes;

    const AttentionWork work = works[blockIdx.x / heads];
    const int head = blockIdx.x % heads, keyHead = head / (heads / keyHeads);
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, warpRow = threadIdx.x / 32 * 16;
    const size_t column = static_cast<size_t>(head) * Dimension, keyColumn = static_cast<size_t>(keyHead) * Dimension;
    const bf16* keys = k + work.keyRow * kStride + keyColumn;
    const bf16* values = v + work.keyRow * vStride + keyColumn;

    load_tile<Dimension, QueryKernelQueries, QueryKernelThreads>(keyTile, q + work.queryRow * qStride + column, qStride,
                                                                 work.queries);
    load_tile<Dimension, QueryKernelQueries, QueryKernelThreads>(
        valueTile, dOutput + work.queryRow * dOutputStride + column, dOutputStride, work.queries);
    copy_commit();
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

    const int swizzle = (lane & 7) << 4;
    const uint32_t leftRow = (warpRow + lane % 16) * RowBytes, leftSwizzle = swizzle ^ (lane / 16 << 4);
    const uint32_t rightRow = (lane % 8 + lane / 16 * 8) * RowBytes, rightSwizzle = swizzle ^ (lane / 8 % 2 << 4);
    const uint32_t transposedRow = lane % 16 * RowBytes;
    uint32_t query[Steps][4], gradient[Steps][4];
    copy_wait();
    __syncthreads();
#pragma unroll
    for (int s = 0; s < Steps; s++)
    {
        load_matrices(query[s], keyTile + leftRow + (leftSwizzle ^ (s * 32)));
        load_matrices(gradient[s], valueTile + leftRow + (leftSwizzle ^ (s * 32)));
    }
    __syncthreads();

    const auto load_keys = [&](int stage, int first)
    {
        load_tile<Dimension, QueryKernelKeys, QueryKernelThreads>(keyTile + stage * KeyBytes, keys + first * kStride,
                                                                  kStride, work.keys - first);
        load_tile<Dimension, QueryKernelKeys, QueryKernelThreads>(valueTile + stage * KeyBytes,
                                                                  values + first * vStride, vStride, work.keys - first);
        copy_commit();
    };
    load_keys(0, 0);
    float sums[Dimension / 8][4] = {};
    for (int block = 0; block * QueryKernelKeys < work.keys; block++)
    {
        copy_wait();
        __syncthreads();
        const int stage = block % 2;
        if ((block + 1) * QueryKernelKeys < work.keys)
            load_keys(stage ^ 1, (block + 1) * QueryKernelKeys);

#pragma unroll 1
        for (int half = 0; half < 2; half++)
        {
            const int firstKey = block * QueryKernelKeys + half * Half;
            // Whether any query of this warp sees a key of the half.
            if (firstKey > work.diagonal + warpRow + 15 || warpRow >= work.queries)
                break;
            const uint32_t keyRows = keyTile + stage * KeyBytes + half * Half * RowBytes,
                           valueRows = keyRows + 2 * KeyBytes;

            float p[NTiles][4] = {}, ds[NTiles][4] = {};
#pragma unroll
            for (int s = 0; s < Steps; s++)
#pragma unroll
                for (int n = 0; n < NTiles; n += 2)
                {
                    uint32_t b[4];
                    load_matrices(b, keyRows + rightRow + n * 8 * RowBytes + (rightSwizzle ^ (s * 32)));
                    mma_bf16(p[n], query[s], b[0], b[1]);
                    mma_bf16(p[n + 1], query[s], b[2], b[3]);
                    load_matrices(b, valueRows + rightRow + n * 8 * RowBytes + (rightSwizzle ^ (s * 32)));
                    mma_bf16(ds[n], gradient[s], b[0], b[1]);
                    mma_bf16(ds[n + 1], gradient[s], b[2], b[3]);
                }

            const bool masked = firstKey + Half - 1 > work.diagonal + warpRow;
#pragma unroll
            for (int n = 0; n < NTiles; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                {
                    p[n][e] = exp2_approximate(fmaf(p[n][e], Scale2, -logSumExp2[e / 2]));
                    if (masked && firstKey + n * 8 + t * 2 + e % 2 > warpRow + g + e / 2 * 8 + work.diagonal)
                        p[n][e] = 0.0f;
                    ds[n][e] = p[n][e] * (ds[n][e] - delta[e / 2]);
                }

#pragma unroll
            for (int s = 0; s < NTiles / 2; s++)
            {
                uint32_t a[4], b[4];
                pack_fragment(a, ds[2 * s], ds[2 * s + 1]);
#pragma unroll
                for (int n = 0; n < Dimension / 8; n += 2)
                {
                    load_matrices_transposed(b, keyRows + transposedRow + s * 16 * RowBytes + (leftSwizzle ^ (n * 16)));
                    mma_bf16(sums[n], a, b[0], b[1]);
                    mma_bf16(sums[n + 1], a, b[2], b[3]);
                }
            }
        }
    }

    // The last blocks may still be read by other warps.
    __syncthreads();
    constexpr float Scale = ScoreScale<Dimension>;
    store_rows<Dimension>(keyTile, warpRow, sums, Scale, Scale, dq + work.queryRow * dqStride + column, dqStride,
                          work.queries);
}
