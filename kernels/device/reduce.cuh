// Sums and maxima over a warp or a block, in an order that depends on nothing but the number of threads.
#pragma once

constexpr unsigned FullWarp = 0xffffffffu;
constexpr int WarpSize = 32;

// The sum over Lanes lanes side by side (a power of two), given to each of them; all of them must call it.
template <int Lanes = WarpSize, typename T> __device__ __forceinline__ T warp_sum(T value)
{
    unsigned mask = Lanes == WarpSize ? FullWarp : ((1u << Lanes) - 1) << (threadIdx.x % WarpSize / Lanes * Lanes);
#pragma unroll
    for (int offset = Lanes / 2; offset > 0; offset /= 2)
        value += __shfl_xor_sync(mask, value, offset);
    return value;
}

__device__ __forceinline__ float warp_max(float value)
{
#pragma unroll
    for (int offset = WarpSize / 2; offset > 0; offset /= 2)
        value = fmaxf(value, __shfl_xor_sync(FullWarp, value, offset));
    return value;
}

// The sum over a block of Threads threads (a multiple of 32), given to every thread. May be called repeatedly.
template <int Threads, typename T> __device__ __forceinline__ T block_sum(T value)
{
    __shared__ T partial[Threads / WarpSize];
    value = warp_sum(value);
    __syncthreads();
    if (threadIdx.x % WarpSize == 0)
        partial[threadIdx.x / WarpSize] = value;
    __syncthreads();
    T sum = partial[0];
#pragma unroll
    for (int warp = 1; warp < Threads / WarpSize; warp++)
        sum += partial[warp];
    return sum;
}

// Two sums over a block at once.
template <int Threads> __device__ __forceinline__ float2 block_sum(float2 value)
{
    __shared__ float2 partial[Threads / WarpSize];
    value = make_float2(warp_sum(value.x), warp_sum(value.y));
    __syncthreads();
    if (threadIdx.x % WarpSize == 0)
        partial[threadIdx.x / WarpSize] = value;
    __syncthreads();
    float2 sum = partial[0];
#pragma unroll
    for (int warp = 1; warp < Threads / WarpSize; warp++)
        sum = make_float2(sum.x + partial[warp].x, sum.y + partial[warp].y);
    return sum;
}

// The maximum over a block, likewise.
template <int Threads> __device__ __forceinline__ float block_max(float value)
{
    __shared__ float partial[Threads / WarpSize];
    value = warp_max(value);
    __syncthreads();
    if (threadIdx.x % WarpSize == 0)
        partial[threadIdx.x / WarpSize] = value;
    __syncthreads();
    float maximum = partial[0];
#pragma unroll
    for (int warp = 1; warp < Threads / WarpSize; warp++)
        maximum = fmaxf(maximum, partial[warp]);
    return maximum;
}
