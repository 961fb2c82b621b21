// rotary: (x1, x2) = (x1 cos - x2 sin, x2 cos + x1 sin) for the halves x1, x2 of every head; inverse: with -sin.
// A row whose position lies outside the tables becomes NaN.
// Shapes    x (rows, 2 * pairs), pairs = heads * half, in place; positions (rows); cosines, sines (limit, half) f32;
//           row-major, rows a stride of elements apart.
// Launch    elementwise over (rows, pairs) (device/elementwise.cuh); aligned: half % 8 == 0 and all addresses and
//           strides are multiples of 16 bytes.
// Numerics  f32, rounded once to the stored type.
// Source    arXiv:2104.09864, halves convention
#include "device/elementwise.cuh"

struct Rotated
{
    float first, second;
};

__device__ __forceinline__ Rotated rotate(float first, float second, float cosine, float sine)
{
    return {first * cosine - second * sine, second * cosine + first * sine};
}

template <typename T>
__device__ __forceinline__ void rotary(T* x, const int* positions, const float* cosines, const float* sines,
                                       size_t xStride, size_t cosinesStride, size_t sinesStride, size_t rows,
                                       size_t pairs, int half, int limit, float sign, int aligned)
{
    constexpr int N = PackElements<T>;
    const float nan = __int_as_float(0x7fc00000);
    auto valid = [=](int position) { return static_cast<unsigned>(position) < static_cast<unsigned>(limit); };
    for_each_element<N>(rows, pairs, aligned,
        [=](size_t row, size_t pair)
        {
            unsigned head = static_cast<unsigned>(pair) / half, element = static_cast<unsigned>(pair) % half;
            T* first = x + row * xStride + static_cast<size_t>(head) * 2 * half + element;
            T* second = first + half;
            int position = positions[row];
            Pack<float, N> cosine, sine;
#pragma unroll
            for (int i = 0; i < N; i++)
                cosine.values[i] = sine.values[i] = nan;
            if (valid(position))
            {
                cosine = load_pack<N>(cosines + position * cosinesStride + element);
                sine = load_pack<N>(sines + position * sinesStride + element);
            }
            Pack<T, N> a = load_pack<N>(first), b = load_pack<N>(second);
#pragma unroll
            for (int i = 0; i < N; i++)
            {
                float x1 = convert<float>(a.values[i]), x2 = convert<float>(b.values[i]);
                Rotated r = rotate(x1, x2, cosine.values[i], sign * sine.values[i]);
                a.values[i] = convert<T>(r.first);
                b.values[i] = convert<T>(r.second);
            }
            store_pack(first, a);
            store_pack(second, b);
        },
        [=](size_t row, size_t pair)
        {
            unsigned head = static_cast<unsigned>(pair) / half, element = static_cast<unsigned>(pair) % half;
            T* first = x + row * xStride + static_cast<size_t>(head) * 2 * half + element;
            T* second = first + half;
            int position = positions[row];
            float cosine = valid(position) ? cosines[position * cosinesStride + element] : nan;
            float sine = valid(position) ? sines[position * sinesStride + element] : nan;
            Rotated r = rotate(convert<float>(*first), convert<float>(*second), cosine, sign * sine);
            *first = convert<T>(r.first);
            *second = convert<T>(r.second);
        });
}

#define ROTARY(NAME, T)                                                                                                \
    extern "C" __global__ void __launch_bounds__(ElementwiseThreads) NAME(                                             \
        T* __restrict__ x, const int* __restrict__ positions, const float* __restrict__ cosines,                       \
        const float* __restrict__ sines, size_t xStride, size_t cosinesStride, size_t sinesStride, size_t rows,        \
        size_t pairs, int half, int limit, float sign, int aligned)                                                    \
    {                                                                                                                  \
        rotary(x, positions, cosines, sines, xStride, cosinesStride, sinesStride, rows, pairs, half, limit, sign,      \
               aligned);                                                                                               \
    }

ROTARY(rotary_f32, float)
ROTARY(rotary_bf16, bf16)
