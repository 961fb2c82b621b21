// Trellis codes: decoders, decode-and-multiply for few rows.
// Shapes    packed codes (tiles, 16 K) u16 without gaps, aligned to 16 bytes; matrices row-major, strides in elements.
// Launch    at each kernel. What a code needs travels as a kernel parameter; HYB's 2 KB table lies in global memory.
// Numerics  decode: exact (bf16: rounded once); multiply: x rounded to float16, sums in f32 in an order that does not
//           depend on the number of rows of x.
// Source    QTIP, arXiv:2406.11235.
#include "device/trellis_matmul.cuh"

constexpr int DecodeThreads = 256;
constexpr int DecodeWarps = DecodeThreads / WarpSize;

// dense[r, c] <- weight (first_row + r, c). Grid (blocks), block (256): a warp decodes a unit at a time. aligned: the
// elements that a lane has side by side in dense can be stored as vectors.
template <typename Code, int K, bool KernelLayout, typename T>
__device__ __forceinline__ void trellis_decode(T* dense, size_t stride, const uint16_t* codes, int first_row, int rows,
                                               int columns, int aligned, const typename Code::Parameters& parameters)
{
    using Unit = TrellisUnit<Code, K, KernelLayout>;
    Code code(parameters);
    __syncthreads();
    int lane = threadIdx.x % WarpSize, unit_columns = (columns + Unit::Columns - 1) / Unit::Columns;
    size_t units = static_cast<size_t>(rows / Unit::Rows) * unit_columns;
    size_t step = static_cast<size_t>(gridDim.x) * DecodeWarps;
    for (size_t u = static_cast<size_t>(blockIdx.x) * DecodeWarps + threadIdx.x / WarpSize; u < units; u += step)
    {
        int row = static_cast<int>(u / unit_columns), column = static_cast<int>(u % unit_columns);
        Unit unit;
        unit.load(codes, first_row / Unit::Rows + row, column, columns, lane);
        T* corner = dense + static_cast<size_t>(row) * Unit::Rows * stride + column * Unit::Columns;
        unit.store(corner, stride, columns - column * Unit::Columns, code, aligned != 0, lane);
    }
}

#define TRELLIS_DECODE(CODE, Code, K, LAYOUT, KERNEL, TYPE, T)                                                         \
    extern "C" __global__ void __launch_bounds__(DecodeThreads) trellis_decode_##CODE##_k##K##_##LAYOUT##_##TYPE(      \
        T* __restrict__ dense, size_t stride, const uint16_t* __restrict__ codes, int first_row, int rows,             \
        int columns, int aligned, const __grid_constant__ Code::Parameters parameters)                                 \
    {                                                                                                                  \
        trellis_decode<Code, K, KERNEL, T>(dense, stride, codes, first_row, rows, columns, aligned, parameters);       \
    }

// Grid (at most rows of units), block (32 MatMulWarps), dynamic shared memory: the table and the warps' inputs.
#define TRELLIS_MATMUL(CODE, Code, K, LAYOUT, KERNEL, MAX)                                                             \
    extern "C" __global__ void __launch_bounds__(MatMulWarps * WarpSize, 1)                                            \
        trellis_matmul_##CODE##_k##K##_##LAYOUT##_rows##MAX(                                                           \
            float* __restrict__ y, size_t y_stride, const float* __restrict__ x, size_t x_stride,                      \
            const uint16_t* __restrict__ codes, int tokens, int rows, int columns,                                     \
            const __grid_constant__ Code::Parameters parameters)                                                       \
    {                                                                                                                  \
        trellis_matmul<Code, K, KERNEL, MAX>(y, y_stride, x, x_stride, codes, tokens, rows, columns, parameters);      \
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
