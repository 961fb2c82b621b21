// Attention one query (or key) at a time on CUDA cores: any type, any alignment, heads of up to 16 * Width * Items
// elements. A block of 256 threads is 16 teams of 16 lanes. Team g takes every 16th key (or query), so the whole block
// reads the keys of one decoded token; lane i of a team holds the elements Width (16 j + i) + e of a head. Sums of the
// teams are joined at the end in a fixed order.
#pragma once
#include "attention_work.cuh"
#include "reduce.cuh"
#include "types.cuh"

constexpr int RowThreads = 256;
constexpr int TeamLanes = 16;
constexpr int Teams = RowThreads / TeamLanes;
constexpr int RowWarps = RowThreads / WarpSize;

// This lane's elements of one head; zeros past the dimension.
template <int Width, int Items, typename T>
__device__ __forceinline__ void load_slice(float (&slice)[Items * Width], const T* __restrict__ row, int dimension)
{
    const int lane = threadIdx.x % TeamLanes;
#pragma unroll
    for (int j = 0; j < Items; j++)
    {
        const int first = Width * (TeamLanes * j + lane);
        Pack<T, Width> pack = {};
        if (first < dimension)
            pack = load_pack<Width>(row + first);
#pragma unroll
        for (int e = 0; e < Width; e++)
            slice[j * Width + e] = convert<float>(pack.values[e]);
    }
}

template <int Count> __device__ __forceinline__ void clear(float (&x)[Count])
{
#pragma unroll
    for (int i = 0; i < Count; i++)
        x[i] = 0.0f;
}

template <int Count>
__device__ __forceinline__ void add_scaled(float (&y)[Count], float factor, const float (&x)[Count])
{
#pragma unroll
    for (int i = 0; i < Count; i++)
        y[i] = fmaf(factor, x[i], y[i]);
}

// Inner product over the lanes of a team, given to each of them.
template <int Count> __device__ __forceinline__ float team_dot(const float (&x)[Count], const float (&y)[Count])
{
    const unsigned team = 0xffffu << (threadIdx.x % WarpSize / TeamLanes * TeamLanes);
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < Count; i++)
        sum = fmaf(x[i], y[i], sum);
#pragma unroll
    for (int offset = 1; offset < TeamLanes; offset *= 2)
        sum += __shfl_xor_sync(team, sum, offset);
    return sum;
}

// Sum over the two teams of a warp.
template <int Count> __device__ __forceinline__ void add_teams(float (&x)[Count])
{
#pragma unroll
    for (int i = 0; i < Count; i++)
        x[i] += __shfl_xor_sync(FullWarp, x[i], TeamLanes);
}

// What the warps of a block hand to each other: one row of up to MaximumDimension elements each, and their softmax.
template <int MaximumDimension> struct RowExchange
{
    float row[RowWarps][MaximumDimension];
    float maximum[RowWarps];
    float sum[RowWarps];
};

template <int Width, int Items>
__device__ __forceinline__ void give_row(RowExchange<TeamLanes * Width * Items>& exchange,
                                         const float (&x)[Items * Width])
{
    const int warp = threadIdx.x / WarpSize, lane = threadIdx.x % WarpSize;
    if (lane < TeamLanes)
    {
#pragma unroll
        for (int j = 0; j < Items; j++)
#pragma unroll
            for (int e = 0; e < Width; e++)
                exchange.row[warp][Width * (TeamLanes * j + lane) + e] = x[j * Width + e];
    }
}

// y <- factor * (sum over all teams of x). Every thread calls it.
template <int Width, int Items, typename T>
__device__ __forceinline__ void store_row_sum(RowExchange<TeamLanes * Width * Items>& exchange,
                                              float (&x)[Items * Width], float factor, T* __restrict__ y, int dimension)
{
    add_teams(x);
    __syncthreads();
    give_row<Width, Items>(exchange, x);
    __syncthreads();
    if (threadIdx.x < dimension)
    {
        float sum = 0.0f;
#pragma unroll
        for (int warp = 0; warp < RowWarps; warp++)
            sum += exchange.row[warp][threadIdx.x];
        y[threadIdx.x] = convert<T>(factor * sum);
    }
}

// One block: the queries of one work item, one head. Each team keeps its own running maximum and sum of exponentials.
template <typename T, int Width, int Items>
__device__ __forceinline__ void attention_rows(T* __restrict__ output, float* __restrict__ logSumExp,
                                               const T* __restrict__ q, const T* __restrict__ k,
                                               const T* __restrict__ v, const AttentionWork* __restrict__ works,
                                               size_t outputStride, size_t logSumExpStride, size_t qStride,
                                               size_t kStride, size_t vStride, int heads, int keyHeads, int dimension)
{
    // Keys that a team reads at once: more loads in flight, as far as registers allow.
    constexpr int Keys = Items * Width <= 8 ? 4 : 2;
    __shared__ RowExchange<TeamLanes * Width * Items> exchange;
    const AttentionWork work = works[blockIdx.x / heads];
    const int head = blockIdx.x % heads, keyHead = head / (heads / keyHeads);
    const int team = threadIdx.x / TeamLanes, warp = threadIdx.x / WarpSize;
    const T* keys = k + work.keyRow * kStride + static_cast<size_t>(keyHead) * dimension;
    const T* values = v + work.keyRow * vStride + static_cast<size_t>(keyHead) * dimension;
    const float scale = 1.0f / sqrtf(static_cast<float>(dimension));

    for (int i = 0; i < work.queries; i++)
    {
        const size_t row = static_cast<size_t>(work.queryRow) + i, column = static_cast<size_t>(head) * dimension;
        const int visible = work.diagonal + i + 1;
        float query[Items * Width], sum[Items * Width];
        load_slice<Width, Items>(query, q + row * qStride + column, dimension);
        clear(sum);
        float maximum = -INFINITY, normaliser = 0.0f;
        for (int first = team; first < visible; first += Teams * Keys)
        {
            float x[Keys][Items * Width], score[Keys], largest = maximum;
#pragma unroll
            for (int n = 0; n < Keys; n++)
                load_slice<Width, Items>(x[n], keys + min(first + Teams * n, visible - 1) * kStride, dimension);
#pragma unroll
            for (int n = 0; n < Keys; n++)
            {
                score[n] = team_dot(query, x[n]) * scale;
                if (first + Teams * n >= visible)
                    score[n] = -INFINITY;
                largest = fmaxf(largest, score[n]);
            }
#pragma unroll
            for (int n = 0; n < Keys; n++)
                load_slice<Width, Items>(x[n], values + min(first + Teams * n, visible - 1) * vStride, dimension);
            const float factor = expf(maximum - largest);
            maximum = largest;
            normaliser *= factor;
#pragma unroll
            for (int c = 0; c < Items * Width; c++)
                sum[c] *= factor;
#pragma unroll
            for (int n = 0; n < Keys; n++)
            {
                const float p = expf(score[n] - maximum);
                normaliser += p;
                add_scaled(sum, p, x[n]);
            }
        }

        // Teams without a key have maximum -inf and sums of 0, warps too; team 0 has one.
        float largest = fmaxf(maximum, __shfl_xor_sync(FullWarp, maximum, TeamLanes));
        const float factor = maximum == -INFINITY ? 0.0f : expf(maximum - largest);
#pragma unroll
        for (int c = 0; c < Items * Width; c++)
            sum[c] *= factor;
        add_teams(sum);
        float part[1] = {normaliser * factor};
        add_teams(part);
        __syncthreads();
        give_row<Width, Items>(exchange, sum);
        if (threadIdx.x % WarpSize == 0)
        {
            exchange.maximum[warp] = largest;
            exchange.sum[warp] = part[0];
        }
        __syncthreads();

        largest = exchange.maximum[0];
#pragma unroll
        for (int w = 1; w < RowWarps; w++)
            largest = fmaxf(largest, exchange.maximum[w]);
        float total = 0.0f, value = 0.0f;
#pragma unroll
        for (int w = 0; w < RowWarps; w++)
        {
            const float weight = expf(exchange.maximum[w] - largest);
            total = fmaf(weight, exchange.sum[w], total);
            if (threadIdx.x < dimension)
                value = fmaf(weight, exchange.row[w][threadIdx.x], value);
        }
        if (threadIdx.x < dimension)
            output[row * outputStride + column + threadIdx.x] = convert<T>(value / total);
        if (threadIdx.x == 0 && logSumExp != nullptr)
            logSumExp[row * logSumExpStride + head] = largest + logf(total);
    }
}

// terms[h, t] <- (logSumExp[t, h], delta[t, h]), delta = sum over the head of dOutput * output. A team for each (t, h).
template <typename T, int Width, int Items>
__device__ __forceinline__ void attention_terms(float2* __restrict__ terms, const T* __restrict__ dOutput,
                                                const T* __restrict__ output, const float* __restrict__ logSumExp,
                                                size_t dOutputStride, size_t outputStride, size_t logSumExpStride,
                                                int tokens, int heads, int dimension)
{
    const size_t item = static_cast<size_t>(blockIdx.x) * Teams + threadIdx.x / TeamLanes;
    const size_t token = item / heads, head = item % heads;
    if (token >= tokens)
        return;
    float x[Items * Width], y[Items * Width];
    load_slice<Width, Items>(x, dOutput + token * dOutputStride + head * dimension, dimension);
    load_slice<Width, Items>(y, output + token * outputStride + head * dimension, dimension);
    const float delta = team_dot(x, y);
    if (threadIdx.x % TeamLanes == 0)
        terms[head * tokens + token] = make_float2(logSumExp[token * logSumExpStride + head], delta);
}

// One block: dq of the queries of one work item, one head. dq = scale * sum over keys of p (dp - delta) k.
template <typename T, int Items>
__device__ __forceinline__ void
attention_rows_backward_query(T* __restrict__ dq, const T* __restrict__ dOutput, const T* __restrict__ q,
                              const T* __restrict__ k, const T* __restrict__ v, const float2* __restrict__ terms,
                              const AttentionWork* __restrict__ works, size_t dqStride, size_t dOutputStride,
                              size_t qStride, size_t kStride, size_t vStride, size_t termsStride, int heads,
                              int keyHeads, int dimension)
{
    __shared__ RowExchange<TeamLanes * Items> exchange;
    const AttentionWork work = works[blockIdx.x / heads];
    const int head = blockIdx.x % heads, keyHead = head / (heads / keyHeads), team = threadIdx.x / TeamLanes;
    const T* keys = k + work.keyRow * kStride + static_cast<size_t>(keyHead) * dimension;
    const T* values = v + work.keyRow * vStride + static_cast<size_t>(keyHead) * dimension;
    const float scale = 1.0f / sqrtf(static_cast<float>(dimension));

    for (int i = 0; i < work.queries; i++)
    {
        const size_t row = static_cast<size_t>(work.queryRow) + i, column = static_cast<size_t>(head) * dimension;
        const int visible = work.diagonal + i + 1;
        const float2 term = terms[head * termsStride + row];
        float query[Items], gradient[Items], sum[Items];
        load_slice<1, Items>(query, q + row * qStride + column, dimension);
        load_slice<1, Items>(gradient, dOutput + row * dOutputStride + column, dimension);
        clear(sum);
        for (int j = team; j < visible; j += Teams)
        {
            float key[Items], value[Items];
            load_slice<1, Items>(key, keys + j * kStride, dimension);
            load_slice<1, Items>(value, values + j * vStride, dimension);
            const float p = expf(team_dot(query, key) * scale - term.x);
            add_scaled(sum, p * (team_dot(gradient, value) - term.y), key);
        }
        store_row_sum<1, Items>(exchange, sum, scale, dq + row * dqStride + column, dimension);
    }
}

// One block: dk and dv of the keys of one work item, one key head. The teams share out the pairs of a query head of the
// group and a query that sees the key. dv = sum p do, dk = scale * sum p (dp - delta) q.
template <typename T, int Items>
__device__ __forceinline__ void
attention_rows_backward_key(T* __restrict__ dk, T* __restrict__ dv, const T* __restrict__ dOutput,
                            const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
                            const float2* __restrict__ terms, const AttentionWork* __restrict__ works, size_t dkStride,
                            size_t dvStride, size_t dOutputStride, size_t qStride, size_t kStride, size_t vStride,
                            size_t termsStride, int heads, int keyHeads, int dimension)
{
    __shared__ RowExchange<TeamLanes * Items> exchange;
    const AttentionWork work = works[blockIdx.x / keyHeads];
    const int keyHead = blockIdx.x % keyHeads, groupHeads = heads / keyHeads, team = threadIdx.x / TeamLanes;
    const float scale = 1.0f / sqrtf(static_cast<float>(dimension));

    for (int j = 0; j < work.keys; j++)
    {
        const size_t row = static_cast<size_t>(work.keyRow) + j, column = static_cast<size_t>(keyHead) * dimension;
        float key[Items], value[Items], keySum[Items], valueSum[Items];
        load_slice<1, Items>(key, k + row * kStride + column, dimension);
        load_slice<1, Items>(value, v + row * vStride + column, dimension);
        clear(keySum);
        clear(valueSum);
        for (int i = 0; i < groupHeads; i++)
        {
            const int head = keyHead * groupHeads + i;
            for (int n = max(0, j - work.diagonal) + team; n < work.queries; n += Teams)
            {
                const size_t queryRow = static_cast<size_t>(work.queryRow) + n;
                const float2 term = terms[head * termsStride + queryRow];
                float query[Items], gradient[Items];
                load_slice<1, Items>(query, q + queryRow * qStride + static_cast<size_t>(head) * dimension, dimension);
                load_slice<1, Items>(
                    gradient, dOutput + queryRow * dOutputStride + static_cast<size_t>(head) * dimension, dimension);
                const float p = expf(team_dot(query, key) * scale - term.x);
                add_scaled(valueSum, p, gradient);
                add_scaled(keySum, p * (team_dot(gradient, value) - term.y), query);
            }
        }
        store_row_sum<1, Items>(exchange, valueSum, 1.0f, dv + row * dvStride + column, dimension);
        store_row_sum<1, Items>(exchange, keySum, scale, dk + row * dkStride + column, dimension);
    }
}
