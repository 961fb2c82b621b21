// Few rows of x times a packed matrix, straight from the codes: y[t, r] <- sum over c of x[t, c] weight[r, c].
// Every block takes adjacent rows of units, RowsAtOnce at a time; its warps take groups of units of those rows in turn.
// Codewords go straight to the registers of the A operand of a tensor core; the B operand is the warp's share of x, 8
// columns for the tokens. That share is rounded to float16 after a power of two has brought its largest number to
// [2^14, 2^15); the sums are divided by it. The warps' sums are added in order, so what a token gets depends on nothing
// but the constants here.
// Speed  Instructions of a warp bound it. For a weight of each lane, K = 2, one token: HYB's kernel layout 3.4, 5 for
//        each state of two; the codes with V = 1 6.1, of which 1.5 for the state, 3.5 for the codeword. Bytes would
//        allow half of HYB's time on an H100.
#pragma once

#include "mma.cuh"
#include "trellis.cuh"
#include "types.cuh"

constexpr int MatMulWarps = 16, GroupColumns = 128, RowsAtOnce = 2;

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
    static constexpr int LaneColumns = GroupColumns / WarpSize;

    // A token's halves in shared memory. The gap behind its columns holds the factor of its sums, and makes loads of
    // fragments free of bank conflicts.
    static constexpr int Stride = GroupColumns + 32;
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
                *reinterpret_cast<float*>(shared + t * Stride + GroupColumns) = __uint_as_float((exponent - 14) << 23);
        }
    }
};

// The B operands of the steps of a unit: two registers each, in shared memory four for every lane of a token together.
template <int Steps>
__device__ __forceinline__ void load_fragments(uint32_t (&b)[2 * Steps], const half* address, int lane)
{
#pragma unroll
    for (int i = 0; i < 2 * Steps; i += 4)
    {
        Pack<uint32_t, 4> pack = load_pack<4>(reinterpret_cast<const uint32_t*>(address) + 4 * i + (lane & 3) * 4);
#pragma unroll
        for (int j = 0; j < 4; j++)
            b[i + j] = pack.values[j];
    }
}

// tokens <= MaxTokens <= 8; rows of x are aligned to 16 bytes. Codes of the next group are loaded as soon as the
// registers of the last are free.
template <typename Code, int K, bool KernelLayout, int MaxTokens>
__device__ __forceinline__ void trellis_matmul(float* y, size_t y_stride, const float* x, size_t x_stride,
                                               const uint16_t* codes, int tokens, int rows, int columns,
                                               const typename Code::Parameters& parameters)
{
    using Unit = TrellisUnit<Code, K, KernelLayout>;
    using Inputs = FewRowsInputs<Unit, MaxTokens>;
    constexpr int Tiles = Unit::Tiles, GroupUnits = GroupColumns / Unit::Columns;
    extern __shared__ uint4 dynamic_shared[];
    char* table = reinterpret_cast<char*>(dynamic_shared);
    char* inputs = table + Code::SharedBytes;
    int lane = threadIdx.x % WarpSize, warp = threadIdx.x / WarpSize;
    half* shared_x = reinterpret_cast<half*>(inputs + warp * Inputs::Bytes);
    int groups = (columns + GroupColumns - 1) / GroupColumns;

    // The block's rows of units: an equal share.
    int unit_rows = rows / Unit::Rows;
    int row = static_cast<int>(static_cast<long long>(unit_rows) * blockIdx.x / gridDim.x);
    int end = static_cast<int>(static_cast<long long>(unit_rows) * (blockIdx.x + 1) / gridDim.x);

    Unit units[GroupUnits];
#pragma unroll
    for (int i = 0; i < GroupUnits; i++)
        units[i].load(codes, row, warp * GroupUnits + i, columns, lane);
    Inputs taken;
    if (LoadsAhead<MaxTokens>)
        taken.load(x + warp * GroupColumns, x_stride, tokens, columns - warp * GroupColumns, lane);
    Code code(parameters, table);
    __syncthreads();

    for (; row < end; row += RowsAtOnce)
    {
        float total[RowsAtOnce][Tiles][4] = {};
        for (int group = warp; group < groups; group += MatMulWarps)
        {
            if (!LoadsAhead<MaxTokens>)
                taken.load(x + group * GroupColumns, x_stride, tokens, columns - group * GroupColumns, lane);
            __syncwarp();
            taken.store(shared_x, lane);
            __syncwarp();
            int next_group = group + MatMulWarps < groups ? group + MatMulWarps : warp;
            if (LoadsAhead<MaxTokens>)
                taken.load(x + next_group * GroupColumns, x_stride, tokens, columns - next_group * GroupColumns, lane);

            // The lane's sums are of tokens lane % 4 * 2 and the next.
            const half* own_x = shared_x + min(lane >> 2, tokens - 1) * Inputs::Stride;
            float factors[2];
#pragma unroll
            for (int n = 0; n < 2; n++)
                factors[n] = *reinterpret_cast<const float*>(
                    shared_x + min((lane & 3) * 2 + n, tokens - 1) * Inputs::Stride + GroupColumns);

#pragma unroll
            for (int r = 0; r < RowsAtOnce; r++)
            {
                if (row + r >= end)
                    break;
                bool last = r + 1 == RowsAtOnce || row + r + 1 == end;
                int next_row = !last ? row + r + 1 : next_group != warp ? row : min(row + RowsAtOnce, end - 1);
                float sum[Tiles][4] = {};
#pragma unroll
                for (int i = 0; i < GroupUnits; i++)
                {
                    uint32_t b[2 * Unit::Steps];
                    load_fragments<Unit::Steps>(b, own_x + i * Unit::Columns, lane);
#pragma unroll
                    for (int step = 0; step < Unit::Steps; step++)
                    {
                        uint32_t a[Tiles][4];
                        units[i].decode(a, code, step, lane);
#pragma unroll
                        for (int tile = 0; tile < Tiles; tile++)
                            mma_f16(sum[tile], a[tile], b[2 * step], b[2 * step + 1]);
                    }
                    units[i].load(codes, next_row, (last ? next_group : group) * GroupUnits + i, columns, lane);
                }
#pragma unroll
                for (int tile = 0; tile < Tiles; tile++)
                {
#pragma unroll
                    for (int j = 0; j < 4; j++)
                        total[r][tile][j] = fmaf(sum[tile][j], factors[j % 2], total[r][tile][j]);
                }
            }
        }

        // The warps' sums replace their inputs.
        __syncwarp();
        constexpr int Sums = RowsAtOnce * Unit::Rows;
        static_assert(Sums * sizeof(float) <= Inputs::Stride * sizeof(half), "a token's sums fit in place of its inputs");
        float* partial = reinterpret_cast<float*>(shared_x);
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
            int token = (lane & 3) * 2 + j % 2;
            if (token < tokens)
            {
#pragma unroll
                for (int r = 0; r < RowsAtOnce; r++)
                {
#pragma unroll
                    for (int tile = 0; tile < Tiles; tile++)
                        partial[token * Sums + r * Unit::Rows + 16 * tile + Unit::row(lane, j / 2)] = total[r][tile][j];
                }
            }
        }
        __syncthreads();
        for (int i = threadIdx.x; i < tokens * Sums; i += MatMulWarps * WarpSize)
        {
            float result = 0;
#pragma unroll
            for (int w = 0; w < MatMulWarps; w++)
                result += reinterpret_cast<const float*>(inputs + w * Inputs::Bytes)[i];
            if (row * Unit::Rows + i % Sums < end * Unit::Rows)
                y[i / Sums * y_stride + static_cast<size_t>(row) * Unit::Rows + i % Sums] = result;
        }
        __syncthreads();
    }
}
