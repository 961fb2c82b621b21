// convert, copy: destination[r,c] = source[r,c], in another type or the same;  fill: destination[r,c] = value
// Shapes    (rows, columns), row-major; rows lie a stride of elements apart.
// Launch    elementwise (device/elementwise.cuh); aligned: all addresses and strides are multiples of 16 bytes.
// Numerics  widening exact; narrowing rounded once, to nearest even.
#include "device/elementwise.cuh"

template <typename To, typename From>
__device__ __forceinline__ void convert_elements(To* destination, const From* source, size_t destinationStride,
                                                 size_t sourceStride, size_t rows, size_t columns, int aligned)
{
    constexpr int N = PackElements<To, From>;
    for_each_element<N>(rows, columns, aligned,
        [=](size_t row, size_t column)
        {
            Pack<From, N> from = load_pack<N>(source + row * sourceStride + column);
            store_pack(destination + row * destinationStride + column, convert_pack<To>(from));
        },
        [=](size_t row, size_t column)
        {
            destination[row * destinationStride + column] = convert<To>(source[row * sourceStride + column]);
        });
}

template <typename T>
__device__ __forceinline__ void fill_elements(T* destination, size_t stride, size_t rows, size_t columns, int aligned,
                                              T value)
{
    constexpr int N = PackElements<T>;
    for_each_element<N>(rows, columns, aligned,
        [=](size_t row, size_t column)
        {
            Pack<T, N> pack;
#pragma unroll
            for (int i = 0; i < N; i++)
                pack.values[i] = value;
            store_pack(destination + row * stride + column, pack);
        },
        [=](size_t row, size_t column) { destination[row * stride + column] = value; });
}

#define CONVERT(NAME, TO, FROM)                                                                                       \
    extern "C" __global__ void __launch_bounds__(ElementwiseThreads, ElementwiseBlocks) NAME(                         \
        TO* __restrict__ destination, const FROM* __restrict__ source, size_t destinationStride, size_t sourceStride, \
        size_t rows, size_t columns, int aligned)                                                                     \
    {                                                                                                                 \
        convert_elements(destination, source, destinationStride, sourceStride, rows, columns, aligned);               \
    }

CONVERT(copy_16, unsigned short, unsigned short)
CONVERT(copy_32, unsigned, unsigned)
CONVERT(copy_64, unsigned long long, unsigned long long)
CONVERT(convert_f32_f64, double, float)
CONVERT(convert_f32_bf16, bf16, float)
CONVERT(convert_f32_f16, half, float)
CONVERT(convert_f64_f32, float, double)
CONVERT(convert_f64_bf16, bf16, double)
CONVERT(convert_f64_f16, half, double)
CONVERT(convert_bf16_f32, float, bf16)
CONVERT(convert_bf16_f64, double, bf16)
CONVERT(convert_bf16_f16, half, bf16)
CONVERT(convert_f16_f32, float, half)
CONVERT(convert_f16_f64, double, half)
CONVERT(convert_f16_bf16, bf16, half)

#define FILL(NAME, T)                                                                                                 \
    extern "C" __global__ void __launch_bounds__(ElementwiseThreads, ElementwiseBlocks)                               \
        NAME(T* __restrict__ destination, size_t stride, size_t rows, size_t columns, int aligned, T value)           \
    {                                                                                                                 \
        fill_elements(destination, stride, rows, columns, aligned, value);                                            \
    }

FILL(fill_16, unsigned short)
FILL(fill_32, unsigned)
FILL(fill_64, unsigned long long)
