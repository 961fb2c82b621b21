// Tail-biting Viterbi encoder of one tile by one thread block; the states of Reference/Viterbi.cs bit for bit.
// A state is s = g + d G: g its lower 16 - 2K bits (the group that the next step sees), d < 2^2K. Only m_t[g] = min
// over d of cost_t(s) is kept, in shared memory for the next step and in global memory for the way back, which finds
// the branch again by recomputing the costs of one group a step.
// h(s) = s (s + 1) has two symmetries mod 2^16: h(~s) = h(s), and h(s ^ 0x8000) = h(s) ^ 0x8000, which only changes the
// first weight's sign. So a quarter of the codewords, d < 2^2K / 2 and g < G / 2, serves all states; each thread keeps
// 4 groups x 8 branches of them in registers.
#pragma once

#include "reduce.cuh"
#include "trellis.cuh"

constexpr int EncodeThreads = 512;

// The smallest of a block's numbers, given to every thread.
template <int Threads> __device__ __forceinline__ unsigned block_min(unsigned value)
{
    __shared__ unsigned partial[Threads / WarpSize];
    value = __reduce_min_sync(FullWarp, value);
    __syncthreads();
    if (threadIdx.x % WarpSize == 0)
        partial[threadIdx.x / WarpSize] = value;
    __syncthreads();
    return __reduce_min_sync(FullWarp, partial[threadIdx.x % (Threads / WarpSize)]);
}

template <int K> struct ViterbiEncoder
{
    static constexpr int StepBits = 2 * K, Branches = 1 << StepBits, Groups = 65536 / Branches;
    static constexpr int ThreadGroups = 4, ThreadBranches = 8;
    static constexpr int Parts = Branches / 2 / ThreadBranches;               // threads that share their groups
    static constexpr int Kept = 2 * ThreadGroups > Parts ? 2 * ThreadGroups / Parts : 1;  // minima a thread writes
    static_assert(Groups / 2 / ThreadGroups * Parts == EncodeThreads, "one quarter of the codewords for the block");

    struct Shared
    {
        alignas(16) float minima[2][Groups];
        float2 weights[TileSteps];
        uint32_t table[TableEntries];
        int overlap;
    };

    Shared& shared;
    float* history;                           // (TileSteps + 1, Groups): row 0 before the first step, row t + 1: m_t
    uint32_t codewords[ThreadBranches][ThreadGroups];
    int part, group;

    // The table must be in shared memory.
    __device__ __forceinline__ ViterbiEncoder(Shared& shared, float* history)
        : shared(shared), history(history), part(threadIdx.x % Parts), group(threadIdx.x / Parts * ThreadGroups)
    {
#pragma unroll
        for (int j = 0; j < ThreadBranches; j++)
        {
#pragma unroll
            for (int i = 0; i < ThreadGroups; i++)
                codewords[j][i] = codeword_bits(shared.table, group + i + branch(j) * Groups);
        }
    }

    // The weights must be in shared memory.
    __device__ __forceinline__ void encode(int window, uint16_t* states)
    {
        // First pass: the steps around the seam, free at both ends. Its way back is followed as far as the first step
        // after the seam.
        start(-1, window);
        forward(2 * window, TileSteps - window, window);
        unsigned last = lowest_best(2 * window, TileSteps - window);
        if (threadIdx.x < WarpSize)
        {
            for (int t = 2 * window - 2; t >= window; t--)
                last = best(t, TileSteps - window, last >> StepBits);
            if (threadIdx.x == 0)
                shared.overlap = last >> StepBits;
        }
        __syncthreads();

        // Second pass: all steps, held to the overlap at both ends.
        int overlap = shared.overlap;
        start(overlap, 0);
        forward(TileSteps, 0, 0);
        if (threadIdx.x < WarpSize)
        {
            unsigned group_before = overlap;
            for (int t = TileSteps - 1; t >= 0; t--)
            {
                unsigned state = best(t, 0, group_before);
                if (threadIdx.x == 0)
                    states[t] = static_cast<uint16_t>(state);
                group_before = state >> StepBits;
            }
        }
        __syncthreads();
    }

private:
    __device__ __forceinline__ int branch(int j) const { return j * Parts + part; }

    __device__ __forceinline__ float* row(int t) const { return history + static_cast<size_t>(t) * Groups; }

    // Costs before the first step: 0 for the only group allowed (any if negative), else infinite. Rows of the history
    // below `first_row` are not kept.
    __device__ __forceinline__ void start(int only, int first_row)
    {
        for (int g = threadIdx.x; g < Groups; g += EncodeThreads)
        {
            float cost = only < 0 || g == only ? 0.0f : __int_as_float(0x7f800000);
            shared.minima[0][g] = cost;
            if (first_row == 0)
                history[g] = cost;
        }
        __syncthreads();
    }

    // Step t sees the weights of step (t + shift) mod 128 of the tile.
    __device__ __forceinline__ void forward(int steps, int shift, int first_row)
    {
        for (int t = 0; t < steps; t++)
        {
            float2 x = shared.weights[(t + shift) & (TileSteps - 1)];
            step(x, shared.minima[t & 1], shared.minima[(t + 1) & 1], t + 1 >= first_row ? row(t + 1) : nullptr);
            __syncthreads();
        }
    }

    __device__ __forceinline__ void step(float2 x, const float* previous, float* next, float* kept) const
    {
        float least[2 * ThreadGroups];        // of the groups, then of their mirror images Groups - 1 - g
#pragma unroll
        for (int i = 0; i < 2 * ThreadGroups; i++)
            least[i] = __int_as_float(0x7f800000);
#pragma unroll
        for (int j = 0; j < ThreadBranches; j++)
        {
            // The states s, s ^ 0x8000, ~s and ~s ^ 0x8000 come from four groups; adjacent s come from the same.
            int from = (group >> StepBits) + branch(j) * (Groups >> StepBits);
            float direct = previous[from], opposite = previous[from + Groups / 2];
            float mirror = previous[Groups - 1 - from], mirror_opposite = previous[Groups / 2 - 1 - from];
#pragma unroll
            for (int i = 0; i < ThreadGroups; i++)
            {
                float2 c = codeword(codewords[j][i]);
                float minus = __fsub_rn(x.x, c.x), plus = __fadd_rn(x.x, c.x), second = __fsub_rn(x.y, c.y);
                float& own = least[i];
                own = fminf(own, branch_cost(minus, second, direct));
                own = fminf(own, branch_cost(plus, second, opposite));
                float& mirrored = least[ThreadGroups + i];
                mirrored = fminf(mirrored, branch_cost(minus, second, mirror));
                mirrored = fminf(mirrored, branch_cost(plus, second, mirror_opposite));
            }
        }

        // Threads of the same groups halve what they keep until each has its own minima; first is the place of the
        // first of them in `least`.
        int first = 0, count = 2 * ThreadGroups;
#pragma unroll
        for (int mask = 1; mask < Parts; mask *= 2)
        {
            bool upper = (threadIdx.x & mask) != 0;
            if (count > 1)
            {
                count /= 2;
#pragma unroll
                for (int i = 0; i < count; i++)
                {
                    float given = upper ? least[i] : least[i + count], own = upper ? least[i + count] : least[i];
                    least[i] = fminf(own, __shfl_xor_sync(FullWarp, given, mask));
                }
                first += upper ? count : 0;
            }
            else
            {
                least[0] = fminf(least[0], __shfl_xor_sync(FullWarp, least[0], mask));
            }
        }

        if constexpr (Parts == 1)
        {
            float4 direct = make_float4(least[0], least[1], least[2], least[3]);
            float4 mirror = make_float4(least[7], least[6], least[5], least[4]);
            int mirrored = Groups - ThreadGroups - group;
            *reinterpret_cast<float4*>(next + group) = direct;
            *reinterpret_cast<float4*>(next + mirrored) = mirror;
            if (kept != nullptr)
            {
                *reinterpret_cast<float4*>(kept + group) = direct;
                *reinterpret_cast<float4*>(kept + mirrored) = mirror;
            }
        }
        else if (part < 2 * ThreadGroups)
        {
#pragma unroll
            for (int i = 0; i < Kept; i++)
            {
                int place = first + i;
                int g = place < ThreadGroups ? group + place : Groups - 1 - group - (place - ThreadGroups);
                next[g] = least[i];
                if (kept != nullptr)
                    kept[g] = least[i];
            }
        }
    }

    // The cost of a state at step t, as step() computes it.
    __device__ __forceinline__ float cost(float2 x, unsigned state, float before) const
    {
        float2 c = codeword(codeword_bits(shared.table, state));
        return branch_cost(__fsub_rn(x.x, c.x), __fsub_rn(x.y, c.y), before);
    }

    // The lowest state of step t in a group whose cost is the group's minimum; by one warp, from the history.
    __device__ __forceinline__ unsigned best(int t, int shift, unsigned best_group) const
    {
        constexpr int Rounds = (Branches + WarpSize - 1) / WarpSize;
        int lane = threadIdx.x % WarpSize;
        float2 x = shared.weights[(t + shift) & (TileSteps - 1)];
        float minimum = row(t + 1)[best_group], before[Rounds];
#pragma unroll
        for (int i = 0; i < Rounds; i++)
        {
            int d = lane + i * WarpSize;
            before[i] = d < Branches ? row(t)[(best_group + d * Groups) >> StepBits] : 0.0f;
        }
        unsigned state = 0xffffffffu;
#pragma unroll
        for (int i = Rounds - 1; i >= 0; i--)
        {
            unsigned d = lane + i * WarpSize, candidate = best_group + d * Groups;
            if (d < Branches && cost(x, candidate & 0xffff, before[i]) == minimum)
                state = candidate;
        }
        return __reduce_min_sync(FullWarp, state);
    }

    // The lowest of all states of the last step with the lowest cost; by the whole block, from shared memory.
    __device__ __forceinline__ unsigned lowest_best(int steps, int shift) const
    {
        const float* last = shared.minima[steps & 1];
        const float* before = shared.minima[(steps + 1) & 1];
        float2 x = shared.weights[(steps - 1 + shift) & (TileSteps - 1)];
        unsigned least = 0xffffffffu;         // costs are not negative: their bits compare as integers
        for (int g = threadIdx.x; g < Groups; g += EncodeThreads)
            least = min(least, __float_as_uint(last[g]));
        float minimum = __uint_as_float(block_min<EncodeThreads>(least));
        unsigned state = 0xffffffffu;
        for (unsigned g = threadIdx.x; g < Groups; g += EncodeThreads)
        {
            if (last[g] == minimum)
            {
                unsigned s = g;
                while (cost(x, s, before[s >> StepBits]) != minimum)
                    s += Groups;
                state = min(state, s);
            }
        }
        return block_min<EncodeThreads>(state);
    }
};
