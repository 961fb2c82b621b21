// rms_norm: y[c] = x[c] r w[c], r = 1 / sqrt(mean_c(x[c]^2) + epsilon), over groups of adjacent columns.
// rms_norm_backward: dx[c] = (accumulate ? dx[c] : 0) + r w[c] dy[c] - x[c] r^3 mean_c(w[c] dy[c] x[c])
// Shapes    x, y, dx, dy (rows, groups * columns); w (columns) f32; row-major, rows a stride of elements apart.
//           count = rows * groups.
// Launch    block (256). Suffix _block: a group a block, grid (count); _warp: a group a warp, grid (ceil(count / 8));
//           _half: a group half a warp, grid (ceil(count / 16)).
//           aligned: all addresses, and columns and strides in bytes, are multiples of 16 bytes; columns % 4 == 0.
// Numerics  sums in f32, in an order that depends on columns, type, aligned and suffix only; rounded once to the type.
// Source    arXiv:1910.07467
#include "device/reduce.cuh"
#include "device/types.cuh"

constexpr int NormThreads = 256;

template <int Lanes> __device__ __forceinline__ float2 group_sums(float first, float second)
{
    if constexpr (Lanes <= WarpSize)
        return make_float2(warp_sum<Lanes>(first), warp_sum<Lanes>(second));
    else
        return block_sum<Lanes>(make_float2(first, second));
}

template <int N, typename T> __device__ __forceinline__ float dot(const Pack<T, N>& x, const Pack<T, N>& y, float sum)
{
#pragma unroll
    for (int i = 0; i < N; i++)
        sum += convert<float>(x.values[i]) * convert<float>(y.values[i]);
    return sum;
}

// Makes the compiler keep packs as loaded; without it, each 16-bit element waits for the sum in a register of its own.
template <int N, typename T, int Count> __device__ __forceinline__ void keep_packed(Pack<T, N> (&packs)[Count])
{
    if constexpr (sizeof(Pack<T, N>) == 16)
    {
#pragma unroll
        for (Pack<T, N>& pack : packs)
        {
            uint4 words;
            memcpy(&words, &pack, sizeof(words));
            asm volatile("" : "+r"(words.x), "+r"(words.y), "+r"(words.z), "+r"(words.w));
            memcpy(&pack, &words, sizeof(words));
        }
    }
}

// Held: packs of a row that a thread keeps in registers between the sum and the result; further ones are read again.
template <int Lanes, int Held, int N, typename T>
__device__ __forceinline__ void rms_norm_group(T* __restrict__ y, const T* __restrict__ x,
                                               const float* __restrict__ weight, int columns, float epsilon)
{
    constexpr int Step = Lanes * N;
    int first = threadIdx.x % Lanes * N;
    // Loads without anything between them: all are under way before the first is needed.
    Pack<T, N> held[Held];
#pragma unroll
    for (int k = 0; k < Held; k++)
    {
        held[k] = {};
        if (first + k * Step < columns)
            held[k] = load_pack<N>(x + first + k * Step);
    }
    float squares = 0;
#pragma unroll
    for (int k = 0; k < Held; k++)
        squares = dot(held[k], held[k], squares);
#pragma unroll 1
    for (int c = first + Held * Step; c < columns; c += Step)
    {
        Pack<T, N> pack = load_pack<N>(x + c);
        squares = dot(pack, pack, squares);
    }
    float r = 1.0f / sqrtf(group_sums<Lanes>(squares, 0.0f).x / columns + epsilon);
    keep_packed(held);

    auto write = [=](int c, Pack<T, N> pack)
    {
        Pack<float, N> w = load_pack<N>(weight + c);
#pragma unroll
        for (int i = 0; i < N; i++)
            pack.values[i] = convert<T>(convert<float>(pack.values[i]) * r * w.values[i]);
        store_pack(y + c, pack);
    };
#pragma unroll
    for (int k = 0; k < Held; k++)
    {
        if (first + k * Step < columns)
            write(first + k * Step, held[k]);
    }
#pragma unroll 1
    for (int c = first + Held * Step; c < columns; c += Step)
        write(c, load_pack<N>(x + c));
}

template <int Lanes, int Held, int N, typename T>
__device__ __forceinline__ void rms_norm_backward_group(T* __restrict__ dx, const T* __restrict__ dy,
                                                        const T* __restrict__ x, const float* __restrict__ weight,
                                                        int columns, float epsilon, int accumulate)
{
    constexpr int Step = Lanes * N;
    int first = threadIdx.x % Lanes * N;
    Pack<T, N> heldX[Held], heldDy[Held], heldDx[Held];
    float squares = 0, projection = 0;
    auto sum = [&](int c, const Pack<T, N>& xs, const Pack<T, N>& dys)
    {
        squares = dot(xs, xs, squares);
        Pack<float, N> w = load_pack<N>(weight + c);
#pragma unroll
        for (int i = 0; i < N; i++)
            projection += w.values[i] * convert<float>(dys.values[i]) * convert<float>(xs.values[i]);
    };
#pragma unroll
    for (int k = 0; k < Held; k++)
    {
        int c = first + k * Step;
        heldX[k] = heldDy[k] = heldDx[k] = {};
        if (c < columns)
        {
            heldX[k] = load_pack<N>(x + c);
            heldDy[k] = load_pack<N>(dy + c);
            if (accumulate)
                heldDx[k] = load_pack<N>(dx + c);
        }
    }
    keep_packed(heldX);
    keep_packed(heldDy);
    keep_packed(heldDx);
#pragma unroll
    for (int k = 0; k < Held; k++)
    {
        if (first + k * Step < columns)
            sum(first + k * Step, heldX[k], heldDy[k]);
    }
#pragma unroll 1
    for (int c = first + Held * Step; c < columns; c += Step)
        sum(c, load_pack<N>(x + c), load_pack<N>(dy + c));
    float2 sums = group_sums<Lanes>(squares, projection);
    float r = 1.0f / sqrtf(sums.x / columns + epsilon), along = sums.y * r * r * r / columns;
    keep_packed(heldX);
    keep_packed(heldDy);
    keep_packed(heldDx);

    auto write = [=](int c, const Pack<T, N>& xs, const Pack<T, N>& dys, Pack<T, N> gradient)
    {
        Pack<float, N> w = load_pack<N>(weight + c);
#pragma unroll
        for (int i = 0; i < N; i++)
        {
            float value = r * w.values[i] * convert<float>(dys.values[i]) - along * convert<float>(xs.values[i]);
            gradient.values[i] = convert<T>(accumulate ? convert<float>(gradient.values[i]) + value : value);
        }
        store_pack(dx + c, gradient);
    };
#pragma unroll
    for (int k = 0; k < Held; k++)
    {
        if (first + k * Step < columns)
            write(first + k * Step, heldX[k], heldDy[k], heldDx[k]);
    }
#pragma unroll 1
    for (int c = first + Held * Step; c < columns; c += Step)
        write(c, load_pack<N>(x + c), load_pack<N>(dy + c), accumulate ? load_pack<N>(dx + c) : Pack<T, N>{});
}

template <int Lanes, int Held, typename T>
__device__ __forceinline__ void rms_norm(T* __restrict__ y, const T* __restrict__ x, const float* __restrict__ weight,
                                         size_t yStride, size_t xStride, size_t count, int groups, int columns,
                                         float epsilon, int aligned)
{
    size_t item = static_cast<size_t>(blockIdx.x) * (NormThreads / Lanes) + threadIdx.x / Lanes;
    if (item >= count)
        return;
    size_t row = item / groups, column = item % groups * columns;
    y += row * yStride + column;
    x += row * xStride + column;
    if (aligned)
        rms_norm_group<Lanes, Held, 16 / sizeof(T)>(y, x, weight, columns, epsilon);
    else
        rms_norm_group<Lanes, Held, 1>(y, x, weight, columns, epsilon);
}

template <int Lanes, int Held, typename T>
__device__ __forceinline__ void rms_norm_backward(T* __restrict__ dx, const T* __restrict__ dy, const T* __restrict__ x,
                                                  const float* __restrict__ weight, size_t dxStride, size_t dyStride,
                                                  size_t xStride, size_t count, int groups, int columns, float epsilon,
                                                  int accumulate, int aligned)
{
    size_t item = static_cast<size_t>(blockIdx.x) * (NormThreads / Lanes) + threadIdx.x / Lanes;
    if (item >= count)
        return;
    size_t row = item / groups, column = item % groups * columns;
    dx += row * dxStride + column;
    dy += row * dyStride + column;
    x += row * xStride + column;
    if (aligned)
        rms_norm_backward_group<Lanes, Held, 16 / sizeof(T)>(dx, dy, x, weight, columns, epsilon, accumulate);
    else
        rms_norm_backward_group<Lanes, Held, 1>(dx, dy, x, weight, columns, epsilon, accumulate);
}

// BLOCKS: at least so many on a multiprocessor, forward and backward; left to itself, ptxas aims at more and spills.
#define NORM_KERNELS(SUFFIX, LANES, HELD, BLOCKS, HELD_BACKWARD, BLOCKS_BACKWARD, T)                                   \
    extern "C" __global__ void __launch_bounds__(NormThreads, BLOCKS) rms_norm_##SUFFIX(                               \
        T* __restrict__ y, const T* __restrict__ x, const float* __restrict__ weight, size_t yStride, size_t xStride,  \
        size_t count, int groups, int columns, float epsilon, int aligned)                                             \
    {                                                                                                                  \
        rms_norm<LANES, HELD>(y, x, weight, yStride, xStride, count, groups, columns, epsilon, aligned);               \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(NormThreads, BLOCKS_BACKWARD) rms_norm_backward_##SUFFIX(             \
        T* __restrict__ dx, const T* __restrict__ dy, const T* __restrict__ x, const float* __restrict__ weight,       \
        size_t dxStride, size_t dyStride, size_t xStride, size_t count, int groups, int columns, float epsilon,        \
        int accumulate, int aligned)                                                                                   \
    {                                                                                                                  \
        rms_norm_backward<LANES, HELD_BACKWARD>(dx, dy, x, weight, dxStride, dyStride, xStride, count, groups,         \
                                                columns, epsilon, accumulate, aligned);                                \
    }

NORM_KERNELS(block_f32, NormThreads, 4, 4, 2, 4, float)
NORM_KERNELS(block_bf16, NormThreads, 4, 4, 2, 4, bf16)
NORM_KERNELS(warp_f32, WarpSize, 8, 4, 4, 3, float)
NORM_KERNELS(warp_bf16, WarpSize, 8, 4, 4, 3, bf16)
NORM_KERNELS(half_f32, WarpSize / 2, 1, 6, 1, 5, float)
NORM_KERNELS(half_bf16, WarpSize / 2, 1, 6, 1, 5, bf16)
