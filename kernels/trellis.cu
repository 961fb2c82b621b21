// Trellis codes: decoders, decode-and-multiply for few rows.
// Shapes    packed codes (tiles, 16 K) u16 without gaps, aligned to 16 bytes; matrices row-major, strides in elements.
// Launch    at each kernel. What a code needs travels as a kernel parameter; HYB's 2 KB table is copied to shared memory.
// Numerics  decode: exact (bf16: rounded once); multiply: sums in f32 in an order that does not depend on the number of rows of x.
// Source    QTIP, arXiv:2406.11235.
#include "device/reduce.cuh"
#include "device/trellis.cuh"
#include "device/types.cuh"

constexpr int DecodeThreads = 256;
constexpr int DecodeWarps = DecodeThreads / WarpSize;

// dense[r, c] <- weight (first_unit_row * rows of a unit + r, c) for unit_rows rows of units. Grid (blocks), block
// (256): a warp decodes a unit at a time. paired: two adjacent elements of dense can be stored as one.
template <typename Code, int K, bool KernelLayout, typename T>
__device__ __forceinline__ void trellis_decode(T* dense, size_t stride, const uint16_t* codes, int first_unit_row,
                                               int unit_rows, int unit_columns, int paired,
                                               const typename Code::Parameters& parameters)
{
    using Unit = TrellisUnit<Code, K, KernelLayout>;
    Code code(parameters);
    __syncthreads();
    int lane = threadIdx.x % WarpSize;
    size_t units = static_cast<size_t>(unit_rows) * unit_columns, step = static_cast<size_t>(gridDim.x) * DecodeWarps;
    size_t first = static_cast<size_t>(first_unit_row) * unit_columns;
    for (size_t u = static_cast<size_t>(blockIdx.x) * DecodeWarps + threadIdx.x / WarpSize; u < units; u += step)
    {
        Unit unit;
        unit.load(codes + (first + u) * Unit::Words, lane);
        T* corner = dense + u / unit_columns * Unit::Rows * stride + u % unit_columns * Unit::Rows;
#pragma unroll
        for (int tile = 0; tile < Unit::Tiles * Unit::Tiles; tile++)
        {
            int row_tile = tile / Unit::Tiles, column_tile = tile % Unit::Tiles;
            uint32_t pairs[4];
            unit.decode(pairs, code, row_tile, column_tile, lane);
#pragma unroll
            for (int j = 0; j < 4; j++)
            {
                float2 c = codeword(pairs[j]);
                T* target = corner + (16 * row_tile + (lane >> 2) + 8 * (j & 1)) * stride;
                target += 16 * column_tile + Unit::column(lane, j);
                Pack<T, 2> pair = {{convert<T>(c.x), convert<T>(c.y)}};
                if (paired != 0)
                {
                    store_pack(target, pair);
                }
                else
                {
                    target[0] = pair.values[0];
                    target[1] = pair.values[1];
                }
            }
        }
    }
}

#define TRELLIS_DECODE(CODE, Code, K, LAYOUT, KERNEL, TYPE, T)                                                         \
    extern "C" __global__ void __launch_bounds__(DecodeThreads) trellis_decode_##CODE##_k##K##_##LAYOUT##_##TYPE(      \
        T* __restrict__ dense, size_t stride, const uint16_t* __restrict__ codes, int first_unit_row, int unit_rows,   \
        int unit_columns, int paired, const __grid_constant__ Code::Parameters parameters)                             \
    {                                                                                                                  \
        trellis_decode<Code, K, KERNEL, T>(dense, stride, codes, first_unit_row, unit_rows, unit_columns, paired,      \
                                           parameters);                                                                \
    }

// y[t, r] <- sum over c of x[t, c] weight[r, c], or sums[slice, t, r] of a slice of the columns if there are several.
// Grid (rows of units, slices), block (256): the block's warps take the units of the slice in turn and their sums are
// added in order. tokens <= MaxTokens.
template <typename Code, int K, bool KernelLayout, typename T, int MaxTokens>
__device__ __forceinline__ void trellis_matmul(T* y, size_t y_stride, const T* x, size_t x_stride,
                                               const uint16_t* codes, float* sums, int tokens, int unit_columns,
                                               int slice_columns, const typename Code::Parameters& parameters)
{
    using Unit = TrellisUnit<Code, K, KernelLayout>;
    constexpr int LaneRows = 2 * Unit::Tiles;
    __shared__ float partial[DecodeWarps][MaxTokens][Unit::Rows];
    Code code(parameters);
    __syncthreads();

    int lane = threadIdx.x % WarpSize, warp = threadIdx.x / WarpSize;
    float sum[MaxTokens][LaneRows] = {};
    int end = min(unit_columns, (static_cast<int>(blockIdx.y) + 1) * slice_columns);
    const uint16_t* unit_row = codes + static_cast<size_t>(blockIdx.x) * unit_columns * Unit::Words;
    for (int u = blockIdx.y * slice_columns + warp; u < end; u += DecodeWarps)
    {
        Unit unit;
        unit.load(unit_row + static_cast<size_t>(u) * Unit::Words, lane);
        const T* input = x + static_cast<size_t>(u) * Unit::Rows;
#pragma unroll
        for (int column_tile = 0; column_tile < Unit::Tiles; column_tile++)
        {
            uint32_t pairs[Unit::Tiles][4];
#pragma unroll
            for (int row_tile = 0; row_tile < Unit::Tiles; row_tile++)
                unit.decode(pairs[row_tile], code, row_tile, column_tile, lane);
#pragma unroll
            for (int half = 0; half < 2; half++)
            {
                float2 weights[LaneRows];
#pragma unroll
                for (int r = 0; r < LaneRows; r++)
                    weights[r] = codeword(pairs[r / 2][r % 2 + 2 * half]);
#pragma unroll
                for (int t = 0; t < MaxTokens; t++)
                {
                    if (t < tokens)
                    {
                        const T* pair = input + t * x_stride + 16 * column_tile + Unit::column(lane, 2 * half);
                        float x0 = convert<float>(pair[0]), x1 = convert<float>(pair[1]);
#pragma unroll
                        for (int r = 0; r < LaneRows; r++)
                            sum[t][r] = fmaf(weights[r].y, x1, fmaf(weights[r].x, x0, sum[t][r]));
                    }
                }
            }
        }
    }

    // Four lanes share a row, all warps share the block's rows.
#pragma unroll
    for (int t = 0; t < MaxTokens; t++)
    {
#pragma unroll
        for (int r = 0; r < LaneRows; r++)
        {
            sum[t][r] += __shfl_xor_sync(FullWarp, sum[t][r], 1);
            sum[t][r] += __shfl_xor_sync(FullWarp, sum[t][r], 2);
            if ((lane & 3) == 0)
                partial[warp][t][8 * r + (lane >> 2)] = sum[t][r];
        }
    }
    __syncthreads();
    size_t rows = static_cast<size_t>(gridDim.x) * Unit::Rows;
    for (int i = threadIdx.x; i < tokens * Unit::Rows; i += DecodeThreads)
    {
        int t = i / Unit::Rows, r = i % Unit::Rows;
        float total = 0;
#pragma unroll
        for (int w = 0; w < DecodeWarps; w++)
            total += partial[w][t][r];
        size_t row = static_cast<size_t>(blockIdx.x) * Unit::Rows + r;
        if (gridDim.y == 1)
            y[t * y_stride + row] = convert<T>(total);
        else
            sums[(static_cast<size_t>(blockIdx.y) * tokens + t) * rows + row] = total;
    }
}

#define TRELLIS_MATMUL(CODE, Code, K, LAYOUT, KERNEL, TYPE, T, MAX)                                                    \
    extern "C" __global__ void __launch_bounds__(DecodeThreads, 2)                                                     \
        trellis_matmul_##CODE##_k##K##_##LAYOUT##_rows##MAX##_##TYPE(                                                  \
            T* __restrict__ y, size_t y_stride, const T* __restrict__ x, size_t x_stride,                              \
            const uint16_t* __restrict__ codes, float* __restrict__ sums, int tokens, int unit_columns,                \
            int slice_columns, const __grid_constant__ Code::Parameters parameters)                                    \
    {                                                                                                                  \
        trellis_matmul<Code, K, KERNEL, T, MAX>(y, y_stride, x, x_stride, codes, sums, tokens, unit_columns,           \
                                                slice_columns, parameters);                                            \
    }

#define TRELLIS_RATE(CODE, Code, K, LAYOUT, KERNEL)                                                                    \
    TRELLIS_DECODE(CODE, Code, K, LAYOUT, KERNEL, f32, float)                                                          \
    TRELLIS_DECODE(CODE, Code, K, LAYOUT, KERNEL, bf16, bf16)                                                          \
    TRELLIS_DECODE(CODE, Code, K, LAYOUT, KERNEL, f16, half)                                                           \
    TRELLIS_MATMUL(CODE, Code, K, LAYOUT, KERNEL, f32, float, 1)                                                       \
    TRELLIS_MATMUL(CODE, Code, K, LAYOUT, KERNEL, f32, float, 8)                                                       \
    TRELLIS_MATMUL(CODE, Code, K, LAYOUT, KERNEL, bf16, bf16, 1)                                                       \
    TRELLIS_MATMUL(CODE, Code, K, LAYOUT, KERNEL, bf16, bf16, 8)

TRELLIS_RATE(hyb, HybridCode, 2, kernel, true)
TRELLIS_RATE(hyb, HybridCode, 3, kernel, true)
TRELLIS_RATE(hyb, HybridCode, 4, kernel, true)
TRELLIS_RATE(hyb, HybridCode, 2, plain, false)
TRELLIS_RATE(hyb, HybridCode, 3, plain, false)
TRELLIS_RATE(hyb, HybridCode, 4, plain, false)

#define TRELLIS_COMPUTED(CODE, Code)                                                                                   \
    TRELLIS_RATE(CODE, Code, 1, plain, false)                                                                          \
    TRELLIS_RATE(CODE, Code, 2, plain, false)                                                                          \
    TRELLIS_RATE(CODE, Code, 3, plain, false)                                                                          \
    TRELLIS_RATE(CODE, Code, 4, plain, false)                                                                          \
    TRELLIS_RATE(CODE, Code, 5, plain, false)                                                                          \
    TRELLIS_RATE(CODE, Code, 6, plain, false)                                                                          \
    TRELLIS_RATE(CODE, Code, 7, plain, false)                                                                          \
    TRELLIS_RATE(CODE, Code, 8, plain, false)

TRELLIS_COMPUTED(pairs, HalfPairCode)
TRELLIS_COMPUTED(sums, ByteSumCode)

// y[t, r] <- sum over the slices, in order, of sums[slice, t, r]. Grid (rows / 256, tokens), block (256).
template <typename T>
__device__ __forceinline__ void trellis_add_slices(T* y, size_t y_stride, const float* sums, int rows, int slices)
{
    int row = blockIdx.x * DecodeThreads + threadIdx.x;
    if (row >= rows)
        return;
    float total = 0;
    for (int slice = 0; slice < slices; slice++)
        total += sums[(static_cast<size_t>(slice) * gridDim.y + blockIdx.y) * rows + row];
    y[blockIdx.y * y_stride + row] = convert<T>(total);
}

extern "C" __global__ void __launch_bounds__(DecodeThreads) trellis_add_slices_f32(
    float* __restrict__ y, size_t y_stride, const float* __restrict__ sums, int rows, int slices)
{
    trellis_add_slices(y, y_stride, sums, rows, slices);
}

extern "C" __global__ void __launch_bounds__(DecodeThreads) trellis_add_slices_bf16(
    bf16* __restrict__ y, size_t y_stride, const float* __restrict__ sums, int rows, int slices)
{
    trellis_add_slices(y, y_stride, sums, rows, slices);
}
