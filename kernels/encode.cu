// Trellis codes: tail-biting Viterbi encoder of tiles, and the values of encoded tiles.
// Shapes    targets, values (tiles, 256) f32; states (tiles, 256 / V) u16; row-major, row strides in elements.
//           Codewords in state order, (65536, V): encode: f16; decode: f32.
// Launch    encode: grid (as many blocks as run at once, or fewer), block (512 + a warp for each tile of a set),
//           dynamic shared memory for the minima; sizes in device/viterbi_shape.cuh, known to GpuBackend.Encode.cs.
// Numerics  f32: the states of Reference/Viterbi.cs bit for bit, ties included. f16: costs in packed half, two tiles a
//           word, the lowest subtracted every 8 steps; mean squared error within 0.2 % of f32 at every code and rate.
// Speed     instructions a lane issues for each state of a tile at each step, all included: HYB, K = 2: 4.2 in f32,
//           2.2 in f16; V = 1, K = 4: 4.3 and 1.8. Issue slots bound it: they are 79, 68, 78 and 62 % full on an H100,
//           no pipe above 65 % (FMA), and warps spend a fifth of their time at the barrier of a step.
// Source    QTIP, arXiv:2406.11235, section 3.2.
#include "device/viterbi_trace.cuh"

constexpr int DecodeThreads = 256;
constexpr float LargestTarget = 576460752303423488.0f;     // 2^59, as in Reference/Viterbi.cs
constexpr float LargestPackedTarget = 32.0f;               // what 16 steps of such errors add up to is a float16

// Encodes the sets of Shape::Tiles tiles blockIdx.x, blockIdx.x + gridDim.x, ... In even phases the forward warps run
// the first pass of a set and the others the way back of the second pass of the set before the last; in odd phases the
// second pass of the last set and the way back of the first pass of this one. So neither waits for the other but at
// both ends. history (blocks, Shape::HistoryWords). first_bad <- min(first_bad, tile << 40 | weight << 32 | bits of the
// target) over the targets that are NaN or too large; the states of such a tile mean nothing.
template <typename Shape>
__device__ __forceinline__ void trellis_encode(const float* targets, size_t target_stride, uint16_t* states,
                                               size_t state_stride, int tiles, int window, int* history,
                                               const uint32_t* table, unsigned long long* first_bad)
{
    using Costs = typename Shape::Costs;
    extern __shared__ int4 minima[];
    __shared__ TrellisShared<Shape> shared;
    __shared__ TraceScratch<Shape> scratch[Shape::Tiles];
    constexpr int Steps = Shape::Steps, RowSteps = Shape::RowSteps;

    int block = blockIdx.x, blocks = gridDim.x;
    auto first_tile = [&](int i) { return (block + i * blocks) * Shape::Tiles; };
    auto has = [&](int i) { return first_tile(i) < tiles; };
    int* first_history = history + static_cast<size_t>(blockIdx.x) * Shape::HistoryWords;
    int* second_history = first_history + static_cast<size_t>(Shape::FirstRows) * Shape::Words * Shape::Groups;
    int first_row = window / RowSteps, first_shift = Steps - window;

    // Taken from one lane, so that the compiler sees that it is the same for the whole warp.
    int warp = __shfl_sync(FullWarp, static_cast<int>(threadIdx.x) / WarpSize, 0);
    if (warp < ForwardThreads / WarpSize)
    {
        ViterbiForward<Shape> forward(shared, reinterpret_cast<int*>(minima), table);
        __syncthreads();
        for (int phase = 0; phase < 4 || has(phase / 2 - 2); phase++)
        {
            int second = phase % 2, i = phase / 2 - second;
            if (i >= 0 && has(i))
                forward.pass(i % Sets, second ? Steps : 2 * window, second ? 0 : first_shift,
                             second ? shared.overlap[i % Sets] : nullptr, second ? second_history : first_history,
                             second ? 0 : first_row, second == 0, shared.offsets[second][0]);
            __syncthreads();
        }
    }
    else
    {
        int lane = threadIdx.x % WarpSize, slot = warp - ForwardThreads / WarpSize;
        int word = slot / Costs::Tiles, part = slot % Costs::Tiles;
        auto tile_of = [&](int i) { return first_tile(i) + slot; };
        auto load = [&](int i)
        {
            if (!has(i))
                return;
            const float* weights = targets + min(tile_of(i), tiles - 1) * target_stride;
            for (int k = lane; k < TileWeights; k += WarpSize)
            {
                float target = weights[k];
                if (!(fabsf(target) <= LargestTarget))
                {
                    unsigned long long place = static_cast<unsigned long long>(min(tile_of(i), tiles - 1)) << 8 | k;
                    atomicMin(first_bad, place << 32 | __float_as_uint(target));
                    target = 0;
                }
                int* place = &shared.weights[i % Sets][word][k];
                if constexpr (Costs::Tiles == 1)
                    *place = __float_as_int(target);
                else
                    reinterpret_cast<half*>(place)[part] =
                        __float2half_rn(fminf(fmaxf(target, -LargestPackedTarget), LargestPackedTarget));
            }
        };
        auto trace = [&](int i, int pass)
        {
            return ViterbiTrace<Shape>{scratch[slot], table, shared.weights[i % Sets][word], shared.offsets[pass][word],
                                       (pass == 0 ? first_history : second_history) + word * Shape::Groups,
                                       pass == 0 ? first_row : 0, pass == 0 ? first_shift : 0, part};
        };
        load(0);
        __syncthreads();
        for (int i = 0; i < 2 || has(i - 2); i++)
        {
            if (i >= 2)
            {
                trace(i - 2, 1).follow(Steps, 0, shared.overlap[(i - 2) % Sets][slot]);
                if (tile_of(i - 2) < tiles)
                {
                    for (int t = lane; t < Steps; t += WarpSize)
                        states[tile_of(i - 2) * state_stride + t] = scratch[slot].path[t];
                }
            }
            __syncthreads();
            load(i + 1);
            if (has(i))
            {
                auto back = trace(i, 0);
                unsigned last = back.lowest_best(2 * window);
                back.follow(2 * window, window, last & (Shape::Groups - 1));
                if (lane == 0)
                    shared.overlap[i % Sets][slot] = scratch[slot].path[window] >> Shape::StepBits;
                __syncwarp();
            }
            __syncthreads();
        }
    }
}

#define TRELLIS_ENCODE(NAME, STEP_BITS, VECTOR, COSTS, WORDS)                                                          \
    using Shape_##NAME = TrellisShape<STEP_BITS, VECTOR, COSTS, WORDS>;                                                \
    extern "C" __global__ void __launch_bounds__(Shape_##NAME::Threads, 1) trellis_encode_##NAME(                      \
        const float* __restrict__ targets, size_t target_stride, uint16_t* __restrict__ states, size_t state_stride,   \
        int tiles, int window, int* __restrict__ history, const uint32_t* __restrict__ codewords,                      \
        unsigned long long* __restrict__ first_bad)                                                                    \
    {                                                                                                                  \
        trellis_encode<Shape_##NAME>(targets, target_stride, states, state_stride, tiles, window, history, codewords,  \
                                     first_bad);                                                                       \
    }

#define TRELLIS_ENCODE_V1(K)                                                                                           \
    TRELLIS_ENCODE(v1_k##K##_f32, K, 1, SingleCosts, 1)                                                                \
    TRELLIS_ENCODE(v1_k##K##_f16, K, 1, PackedCosts, 1)

#define TRELLIS_ENCODE_HYB(K)                                                                                          \
    TRELLIS_ENCODE(hyb_k##K##_f32, 2 * K, 2, SingleCosts, 2)                                                           \
    TRELLIS_ENCODE(hyb_k##K##_f16, 2 * K, 2, PackedCosts, 1)

TRELLIS_ENCODE_HYB(2)
TRELLIS_ENCODE_HYB(3)
TRELLIS_ENCODE_HYB(4)

TRELLIS_ENCODE_V1(1)
TRELLIS_ENCODE_V1(2)
TRELLIS_ENCODE_V1(3)
TRELLIS_ENCODE_V1(4)
TRELLIS_ENCODE_V1(5)
TRELLIS_ENCODE_V1(6)
TRELLIS_ENCODE_V1(7)
TRELLIS_ENCODE_V1(8)

// values[tile, V t ... V t + V - 1] <- codeword of states[tile, t]. Grid (blocks), block (256): a block takes a
// tile at a time.
template <int Vector>
__device__ __forceinline__ void trellis_decode_tiles(const uint16_t* states, size_t state_stride, float* values,
                                                     size_t value_stride, int tiles, const float* codewords)
{
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x)
    {
        int state = states[tile * state_stride + threadIdx.x / Vector];
        values[tile * value_stride + threadIdx.x] = codewords[state * Vector + threadIdx.x % Vector];
    }
}

#define TRELLIS_DECODE_TILES(VECTOR)                                                                                   \
    extern "C" __global__ void __launch_bounds__(DecodeThreads) trellis_decode_tiles_v##VECTOR##_f32(                  \
        const uint16_t* __restrict__ states, size_t state_stride, float* __restrict__ values, size_t value_stride,     \
        int tiles, const float* __restrict__ codewords)                                                                \
    {                                                                                                                  \
        trellis_decode_tiles<VECTOR>(states, state_stride, values, value_stride, tiles, codewords);                    \
    }

TRELLIS_DECODE_TILES(1)
TRELLIS_DECODE_TILES(2)
