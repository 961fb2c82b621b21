// Trellis codes: decoders, decode-and-multiply for few rows.
// Shapes    packed codes (tiles, 16 K) u16 without gaps, aligned to 16 bytes; matrices row-major, strides in elements.
// Launch    at each kernel. What a code needs travels as a kernel parameter; HYB's 2 KB table lies in global memory.
// Numerics  decode: exact (bf16: rounded once); multiply: x rounded to float16, sums in f32 in an order that does not
//           depend on the number of rows of x.
// Source    QTIP, arXiv:2406.11235.
#include "device/trellis_matmul.cuh"

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
        unit.load(codes, first + u, lane);
        T* corner = dense + u / unit_columns * Unit::Rows * stride + u % unit_columns * Unit::Rows;
#pragma unroll
        for (int column_tile = 0; column_tile < Unit::Tiles; column_tile++)
        {
            uint32_t pairs[Unit::Tiles][4];
            unit.decode(pairs, code, column_tile, lane);
#pragma unroll
            for (int i = 0; i < 4 * Unit::Tiles; i++)
            {
                int row_tile = i / 4, j = i % 4;
                float2 c = codeword(pairs[row_tile][j]);
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

// Grid (at most unit_rows), block (32 MatMulWarps), dynamic shared memory: the table and the warps' inputs.
#define TRELLIS_MATMUL(CODE, Code, K, LAYOUT, KERNEL, MAX)                                                             \
    extern "C" __global__ void __launch_bounds__(MatMulWarps * WarpSize, 1)                                            \
        trellis_matmul_##CODE##_k##K##_##LAYOUT##_rows##MAX(                                                           \
            float* __restrict__ y, size_t y_stride, const float* __restrict__ x, size_t x_stride,                      \
            const uint16_t* __restrict__ codes, int tokens, int unit_rows, int unit_columns,                           \
            const __grid_constant__ Code::Parameters parameters)                                                       \
    {                                                                                                                  \
        trellis_matmul<Code, K, KERNEL, MAX>(y, y_stride, x, x_stride, codes, tokens, unit_rows, unit_columns,         \
                                             parameters);                                                              \
    }

#define TRELLIS_RATE(CODE, Decoder, Multiplier, K, LAYOUT, KERNEL)                                                     \
    TRELLIS_DECODE(CODE, Decoder, K, LAYOUT, KERNEL, f32, float)                                                       \
    TRELLIS_DECODE(CODE, Decoder, K, LAYOUT, KERNEL, bf16, bf16)                                                       \
    TRELLIS_DECODE(CODE, Decoder, K, LAYOUT, KERNEL, f16, half)                                                        \
    TRELLIS_MATMUL(CODE, Multiplier, K, LAYOUT, KERNEL, 1)                                                             \
    TRELLIS_MATMUL(CODE, Multiplier, K, LAYOUT, KERNEL, 8)

#define TRELLIS_HYBRID(K)                                                                                              \
    TRELLIS_RATE(hyb, HybridCode, FewRowsHybridCode, K, kernel, true)                                                  \
    TRELLIS_RATE(hyb, HybridCode, FewRowsHybridCode, K, plain, false)

#define TRELLIS_COMPUTED(K)                                                                                            \
    TRELLIS_RATE(pairs, HalfPairCode, HalfPairCode, K, plain, false)                                                   \
    TRELLIS_RATE(sums, ByteSumCode, ByteSumCode, K, plain, false)

TRELLIS_HYBRID(2)
TRELLIS_HYBRID(3)
TRELLIS_HYBRID(4)
TRELLIS_COMPUTED(1)
TRELLIS_COMPUTED(2)
TRELLIS_COMPUTED(3)
TRELLIS_COMPUTED(4)
TRELLIS_COMPUTED(5)
TRELLIS_COMPUTED(6)
TRELLIS_COMPUTED(7)
TRELLIS_COMPUTED(8)
