// Few rows of x times a packed matrix, straight from the codes: y[t, r] <- sum over c of x[t, c] weight[r, c].
// Every block takes rows of units in turn, its warps groups of units of the row in turn. Codewords go straight to the
// registers of the A operand of a tensor core; the B operand is the warp's share of x, 8 columns for the tokens. That
// share is rounded to float16 after a power of two has brought its largest number to [2^14, 2^15); the sums are divided
// by it. The warps' sums are added in order, so what a token gets depends on nothing but the constants here.
// Speed  Instructions of a warp for 1024 weights of HYB's kernel layout, K = 2: 91, of which 80 are 5 for each state
//        (shift, square, double, mask, look up). They bound it: bytes would allow half of that on an H100.
#pragma once

#include "mma.cuh"
#include "trellis.cuh"
#include "types.cuh"

constexpr int MatMulWarps = 16, GroupUnits = 4;

// One token's inputs are loaded a group ahead; those of eight would take too many registers.
template <int MaxTokens> constexpr bool LoadsAhead = MaxTokens == 1;

// Multiprocessors of compute capability 8.6 and 8.9 have 99 KB of shared memory.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
using FewRowsHybridCode = ReplicatedHybridCode<32, true, MatMulWarps * WarpSize>;
#else
using FewRowsHybridCode = ReplicatedHybridCode<16, false, MatMulWarps * WarpSize>;
#endif

// A warp's numbers of x for some tokens: adjacent columns of each lane, 0 from the limit on, which is a multiple of 16.
template <typename Unit, int MaxTokens> struct FewRowsInputs
{
    static constexpr int Columns = GroupUnits * Unit::Rows, LaneColumns = Columns / WarpSize;

    // A token's halves in shared memory. The gap behind its columns holds the factor of its sums, and makes loads of
    // fragments free of bank conflicts.
    static constexpr int Stride = Columns + Unit::Rows;
    static constexpr int Bytes = MaxTokens * Stride * 2;

    Pack<float, LaneColumns> values[MaxTokens];

    __device__ __forceinline__ void load(const float* x, size_t x_stride, int tokens, int limit, int lane)
    {
#pragma unroll
        for (int t = 0; t < MaxTokens; t++)
        {
            values[t] = {};
            if (t < tokens && lane * LaneColumns < limit)
                values[t] = load_pack<LaneColumns>(x + t * x_stride + lane * LaneColumns);
        }
    }

    // shared <- x 2^k in float16, in the order in which lanes take them, and 2^-k behind them.
    __device__ __forceinline__ void store(half* shared, int lane) const
    {
#pragma unroll
        for (int t = 0; t < MaxTokens; t++)
        {
            float largest = 0;
#pragma unroll
            for (int i = 0; i < LaneColumns; i++)
                largest = fmaxf(largest, fabsf(values[t].values[i]));
            uint32_t exponent = max(__reduce_max_sync(FullWarp, __float_as_uint(largest)) >> 23, 15u);
            float scale = __uint_as_float((268 - exponent) << 23);
#pragma unroll
            for (int i = 0; i < LaneColumns; i += 2)
                *reinterpret_cast<__half2*>(shared + t * Stride + Unit::place(lane * LaneColumns + i)) =
                    __floats2half2_rn(values[t].values[i] * scale, values[t].values[i + 1] * scale);
            if (lane == 0)
                *reinterpret_cast<float*>(shared + t * Stride + Columns) = __uint_as_float((exponent - 14) << 23);
        }
    }
};

template <int Tiles> __device__ __forceinline__ void load_fragments(uint32_t (&b)[2 * Tiles], const half* address)
{
    Pack<uint32_t, 2 * Tiles> pack = load_pack<2 * Tiles>(reinterpret_cast<const uint32_t*>(address));
#pragma unroll
    for (int i = 0; i < 2 * Tiles; i++)
        b[i] = pack.values[i];
}

// tokens <= MaxTokens <= 8; rows of x are aligned to 16 bytes. Codes of the next group are loaded as soon as the
// registers of the last are free.
template <typename Code, int K, bool KernelLayout, int MaxTokens>
__device__ __forceinline__ void trellis_matmul(float* y, size_t y_stride, const float* x, size_t x_stride,
                                               const uint16_t* codes, int tokens, int unit_rows, int unit_columns,
                                               const typename Code::Parameters& parameters)
{
    using Unit = TrellisUnit<Code, K, KernelLayout>;
    using Inputs = FewRowsInputs<Unit, MaxTokens>;
    constexpr int Tiles = Unit::Tiles;
    extern __shared__ uint4 dynamic_shared[];
    char* table = reinterpret_cast<char*>(dynamic_shared);
    char* inputs = table + Code::SharedBytes;
    int lane = threadIdx.x % WarpSize, warp = threadIdx.x / WarpSize;
    half* shared_x = reinterpret_cast<half*>(inputs + warp * Inputs::Bytes);
    int groups = (unit_columns + GroupUnits - 1) / GroupUnits, columns = unit_columns * Unit::Rows;

    // Beyond a row's end are units of the next row, which meet inputs of 0.
    Unit units[GroupUnits];
    int row = blockIdx.x, last = unit_rows * unit_columns - 1, next = row * unit_columns + warp * GroupUnits;
#pragma unroll
    for (int i = 0; i < GroupUnits; i++)
        units[i].load(codes, min(next + i, last), lane);
    Inputs taken;
    if (LoadsAhead<MaxTokens>)
        taken.load(x + warp * Inputs::Columns, x_stride, tokens, columns - warp * Inputs::Columns, lane);
    Code code(parameters, table);
    __syncthreads();

    for (; row < unit_rows; row += gridDim.x)
    {
        float total[Tiles][4] = {};
        for (int group = warp; group < groups; group += MatMulWarps)
        {
            if (!LoadsAhead<MaxTokens>)
                taken.load(x + group * Inputs::Columns, x_stride, tokens, columns - group * Inputs::Columns, lane);
            __syncwarp();
            taken.store(shared_x, lane);
            __syncwarp();
            bool more = group + MatMulWarps < groups;
            next = more ? next + MatMulWarps * GroupUnits : (row + gridDim.x) * unit_columns + warp * GroupUnits;
            int next_column = (more ? group + MatMulWarps : warp) * Inputs::Columns;
            if (LoadsAhead<MaxTokens>)
                taken.load(x + next_column, x_stride, tokens, columns - next_column, lane);

            const half* own_x = shared_x + min(lane >> 2, tokens - 1) * Inputs::Stride;
            float sum[Tiles][4] = {};
#pragma unroll
            for (int i = 0; i < GroupUnits; i++)
            {
                uint32_t b[2 * Tiles];
                load_fragments<Tiles>(b, own_x + i * Unit::Rows + (lane & 3) * 4 * Tiles);
#pragma unroll
                for (int column_tile = 0; column_tile < Tiles; column_tile++)
                {
                    uint32_t a[Tiles][4];
                    units[i].decode(a, code, column_tile, lane);
#pragma unroll
                    for (int row_tile = 0; row_tile < Tiles; row_tile++)
                        mma_f16(sum[row_tile], a[row_tile], b[2 * column_tile], b[2 * column_tile + 1]);
                }
                units[i].load(codes, min(next + i, last), lane);
            }

            // The lane's sums are of tokens lane % 4 * 2 and the next.
#pragma unroll
            for (int n = 0; n < 2; n++)
            {
                const half* token = shared_x + min((lane & 3) * 2 + n, tokens - 1) * Inputs::Stride;
                float factor = *reinterpret_cast<const float*>(token + Inputs::Columns);
#pragma unroll
                for (int tile = 0; tile < Tiles; tile++)
                {
                    total[tile][n] = fmaf(sum[tile][n], factor, total[tile][n]);
                    total[tile][n + 2] = fmaf(sum[tile][n + 2], factor, total[tile][n + 2]);
                }
            }
        }

        // The warps' sums replace their inputs.
        __syncwarp();
        float* partial = reinterpret_cast<float*>(shared_x);
#pragma unroll
        for (int n = 0; n < 2; n++)
        {
            int t = (lane & 3) * 2 + n;
            if (t < tokens)
            {
#pragma unroll
                for (int tile = 0; tile < Tiles; tile++)
                {
                    partial[t * Unit::Rows + 16 * tile + (lane >> 2)] = total[tile][n];
                    partial[t * Unit::Rows + 16 * tile + (lane >> 2) + 8] = total[tile][n + 2];
                }
            }
        }
        __syncthreads();
        for (int i = threadIdx.x; i < tokens * Unit::Rows; i += MatMulWarps * WarpSize)
        {
            float result = 0;
#pragma unroll
            for (int w = 0; w < MatMulWarps; w++)
                result += reinterpret_cast<const float*>(inputs + w * Inputs::Bytes)[i];
            y[i / Unit::Rows * y_stride + static_cast<size_t>(row) * Unit::Rows + i % Unit::Rows] = result;
        }
        __syncthreads();
    }
}
