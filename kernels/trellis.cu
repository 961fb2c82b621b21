// Trellis codes: decoders of matrices.
// Shapes    packed codes (tiles, 16 K) u16 without gaps, aligned to 16 bytes; matrices row-major, strides in elements.
// Launch    at each kernel. What a code needs travels as a kernel parameter; HYB's 2 KB table lies in global memory.
// Numerics  exact (bf16: rounded once).
// Source    QTIP, arXiv:2406.11235.
#include "device/trellis.cuh"
#include "device/types.cuh"

constexpr int DecodeThreads = 256;
constexpr int DecodeWarps = DecodeThreads / WarpSize;

// dense[r, c] <- weight (first_unit_row * rows of a unit + r, c) for unit_rows rows of units. Grid (blocks), block
// (256): a warp decodes a unit at a time. vectors: a lane's adjacent elements of dense can be stored at once, which
// matters: a sector of memory that is written in parts takes several times as long.
template <typename Code, int K, bool KernelLayout, typename T>
__device__ __forceinline__ void trellis_decode(T* dense, size_t stride, const uint16_t* codes, int first_unit_row,
                                               int unit_rows, int unit_columns, int vectors,
                                               const typename Code::Parameters& parameters)
{
    using Unit = TrellisUnit<Code, K, KernelLayout>;
    constexpr int Tiles = Unit::Tiles, Pairs = 2 * Tiles;
    Code code(parameters);
    __syncthreads();
    int lane = threadIdx.x % WarpSize;
    int units = unit_rows * unit_columns, step = gridDim.x * DecodeWarps;
    for (int u = blockIdx.x * DecodeWarps + threadIdx.x / WarpSize; u < units; u += step)
    {
        Unit unit;
        unit.load(codes, static_cast<size_t>(first_unit_row) * unit_columns + u, lane);
        uint32_t pairs[Tiles][Tiles][4];
#pragma unroll
        for (int column_tile = 0; column_tile < Tiles; column_tile++)
            unit.decode(pairs[column_tile], code, column_tile, lane);

        int unit_row = u / unit_columns, unit_column = u - unit_row * unit_columns;
        T* corner = dense + (static_cast<size_t>(unit_row) * Unit::Rows + (lane >> 2)) * stride;
        corner += unit_column * Unit::Rows + (lane & 3) * 2 * Pairs;
#pragma unroll
        for (int r = 0; r < 2 * Tiles; r++)
        {
            uint32_t row[Pairs];
#pragma unroll
            for (int i = 0; i < Pairs; i++)
                row[i] = pairs[i / 2][r / 2][r % 2 + i % 2 * 2];
            Unit::bring_together(row, lane);
            Pack<T, 2 * Pairs> values;
#pragma unroll
            for (int i = 0; i < Pairs; i++)
            {
                float2 c = codeword(row[i]);
                values.values[2 * i] = convert<T>(c.x);
                values.values[2 * i + 1] = convert<T>(c.y);
            }
            T* target = corner + 8 * r * stride;
            if (vectors != 0)
            {
                store_pack(target, values);
            }
            else
            {
#pragma unroll
                for (int i = 0; i < 2 * Pairs; i++)
                    target[i] = values.values[i];
            }
        }
    }
}

#define TRELLIS_DECODE(CODE, Code, K, LAYOUT, KERNEL, TYPE, T)                                                         \
    extern "C" __global__ void __launch_bounds__(DecodeThreads) trellis_decode_##CODE##_k##K##_##LAYOUT##_##TYPE(      \
        T* __restrict__ dense, size_t stride, const uint16_t* __restrict__ codes, int first_unit_row, int unit_rows,   \
        int unit_columns, int vectors, const __grid_constant__ Code::Parameters parameters)                            \
    {                                                                                                                  \
        trellis_decode<Code, K, KERNEL, T>(dense, stride, codes, first_unit_row, unit_rows, unit_columns, vectors,     \
                                           parameters);                                                                \
    }

#define TRELLIS_RATE(CODE, Code, K, LAYOUT, KERNEL)                                                                    \
    TRELLIS_DECODE(CODE, Code, K, LAYOUT, KERNEL, f32, float)                                                          \
    TRELLIS_DECODE(CODE, Code, K, LAYOUT, KERNEL, bf16, bf16)                                                          \
    TRELLIS_DECODE(CODE, Code, K, LAYOUT, KERNEL, f16, half)

#define TRELLIS_COMPUTED(K)                                                                                            \
    TRELLIS_RATE(pairs, HalfPairCode, K, plain, false)                                                                 \
    TRELLIS_RATE(sums, ByteSumCode, K, plain, false)

TRELLIS_RATE(hyb, HybridCode, 2, kernel, true)
TRELLIS_RATE(hyb, HybridCode, 3, kernel, true)
TRELLIS_RATE(hyb, HybridCode, 4, kernel, true)
TRELLIS_RATE(hyb, HybridCode, 2, plain, false)
TRELLIS_RATE(hyb, HybridCode, 3, plain, false)
TRELLIS_RATE(hyb, HybridCode, 4, plain, false)
TRELLIS_COMPUTED(1)
TRELLIS_COMPUTED(2)
TRELLIS_COMPUTED(3)
TRELLIS_COMPUTED(4)
TRELLIS_COMPUTED(5)
TRELLIS_COMPUTED(6)
TRELLIS_COMPUTED(7)
TRELLIS_COMPUTED(8)
