// embedding: y[t,c] = table[ids[t],c]; a row whose id lies outside the table becomes NaN.
// Shapes    y (rows, columns); table (vocabulary, columns); ids (rows); row-major, rows a stride of elements apart.
// Launch    elementwise (device/elementwise.cuh); aligned: addresses and strides of y, table are multiples of 16 bytes.
// Numerics  exact.
#include "device/elementwise.cuh"

template <typename T>
__device__ __forceinline__ void embedding(T* y, const T* table, const int* ids, size_t yStride, size_t tableStride,
                                          size_t rows, size_t columns, int vocabulary, int aligned)
{
    constexpr int N = PackElements<T>;
    const T nan = convert<T>(__int_as_float(0x7fc00000));
    auto source = [=](size_t row)
    {
        unsigned id = static_cast<unsigned>(ids[row]);
        return id < static_cast<unsigned>(vocabulary) ? table + id * tableStride : nullptr;
    };
    for_each_element<N>(rows, columns, aligned,
        [=](size_t row, size_t column)
        {
            Pack<T, N> pack;
#pragma unroll
            for (int i = 0; i < N; i++)
                pack.values[i] = nan;
            if (const T* from = source(row))
                pack = load_pack<N>(from + column);
            store_pack(y + row * yStride + column, pack);
        },
        [=](size_t row, size_t column)
        {
            const T* from = source(row);
            y[row * yStride + column] = from ? from[column] : nan;
        });
}

#define EMBEDDING(NAME, T)                                                                                             \
    extern "C" __global__ void __launch_bounds__(ElementwiseThreads) NAME(                                             \
        T* __restrict__ y, const T* __restrict__ table, const int* __restrict__ ids, size_t yStride,                   \
        size_t tableStride, size_t rows, size_t columns, int vocabulary, int aligned)                                  \
    {                                                                                                                  \
        embedding(y, table, ids, yStride, tableStride, rows, columns, vocabulary, aligned);                            \
    }

EMBEDDING(embedding_f32, float)
EMBEDDING(embedding_bf16, bf16)
