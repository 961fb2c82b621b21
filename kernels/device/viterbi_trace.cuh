// Tail-biting Viterbi encoder of trellis tiles: the way back, one warp a tile.
// Only the minima of every RowSteps-th step are known. Between two of them the warp recomputes, with the very
// operations of the forward pass, the tree of all paths that end in the group it has come to: 2^(S RowSteps) <= 256
// leaves.
#pragma once

#include "viterbi.cuh"

template <typename Shape> struct TraceScratch
{
    // Node q of the level that has N = 2^(S n) nodes lies at N + q.
    static constexpr int Nodes = 2 << (Shape::StepBits * (Shape::RowSteps - 1));

    int minima[Nodes];
    uint8_t branches[Nodes];
    uint16_t path[Shape::Steps];
};

template <typename Shape> struct ViterbiTrace
{
    using Costs = typename Shape::Costs;
    using Value = typename Costs::Value;
    static constexpr int StepBits = Shape::StepBits, Branches = Shape::Branches, Groups = Shape::Groups;
    static constexpr int Steps = Shape::Steps, RowSteps = Shape::RowSteps, Vector = Shape::Vector;
    static constexpr int GroupBits = 16 - StepBits;

    TraceScratch<Shape>& scratch;
    const uint32_t* table;
    const int* weights;                       // of the tile's word
    const int* offsets;
    const int* history;                       // of the tile's word
    int first_row, shift, tile;               // tile: which of its word's

    // The lowest of all states of the last step with the lowest cost, of which row `row` has the minima.
    __device__ __forceinline__ unsigned lowest_best(int steps) const
    {
        int first = (steps - 1) / RowSteps * RowSteps, lane = threadIdx.x % WarpSize;
        const int* last = row((steps + RowSteps - 1) / RowSteps);
        int minimum = 0x7fffffff;
        for (int g = lane; g < Groups; g += WarpSize)
            minimum = min(minimum, Costs::pick(last[g], tile));
        minimum = __reduce_min_sync(FullWarp, minimum);
        unsigned best = 0xffffffffu;
        for (int g = 0; g < Groups; g += WarpSize)
        {
            unsigned equal = __ballot_sync(FullWarp, Costs::pick(last[g + lane], tile) == minimum);
            for (; equal != 0; equal &= equal - 1)
            {
                back(first, steps - first, g + __ffs(equal) - 1);
                best = min(best, static_cast<unsigned>(scratch.path[steps - 1]));
                __syncwarp();
            }
        }
        return best;
    }

    // path[t] for the steps below `steps` down to the row of step `until`; `group`: after the last of them.
    __device__ __forceinline__ void follow(int steps, int until, unsigned group) const
    {
        for (int first = (steps - 1) / RowSteps * RowSteps; first + RowSteps > until; first -= RowSteps)
        {
            group = back(first, min(RowSteps, steps - first), group);
            if (first == 0)
                break;
        }
    }

private:
    __device__ __forceinline__ const int* row(int index) const
    {
        return history + static_cast<size_t>(index - first_row) * Shape::Words * Groups;
    }

    // path[first ... first + count - 1], which ends in `group`; returns the group before it.
    __device__ __forceinline__ unsigned back(int first, int count, unsigned group) const
    {
        levels<RowSteps - 1>(first, count, group);
        unsigned node = 0, state = 0;
#pragma unroll
        for (int n = 0; n < RowSteps; n++)
        {
            if (n < count)
            {
                unsigned d = scratch.branches[(1u << (StepBits * n)) + node];
                state = node_group(group, n, node) + d * Groups;
                if (threadIdx.x % WarpSize == 0)
                    scratch.path[first + count - 1 - n] = static_cast<uint16_t>(state);
                node += d << (StepBits * n);
            }
        }
        __syncwarp();
        return state >> StepBits;
    }

    // The group of node q, n steps before `group`: q holds the bits that have left it since, the latest on top.
    static __device__ __forceinline__ unsigned node_group(unsigned group, int n, unsigned q)
    {
        return (group >> (StepBits * n)) + (q << (GroupBits - StepBits * n));
    }

    template <int N> __device__ __forceinline__ void levels(int first, int count, unsigned group) const
    {
        if (N < count)
            level<N>(first + count - 1 - N, N == count - 1, first, group);
        if constexpr (N > 0)
            levels<N - 1>(first, count, group);
    }

    // Minima and branches of the nodes that lie N steps before the end, at step t. leaves: their predecessors are in
    // the row of step `first`, else one level below.
    template <int N> __device__ __forceinline__ void level(int t, bool leaves, int first, unsigned group) const
    {
        constexpr int Nodes = 1 << (StepBits * N);
        constexpr int Sharers = Nodes >= WarpSize ? 1 : WarpSize / Nodes < Branches ? WarpSize / Nodes : Branches;
        constexpr int Rounds = Nodes > WarpSize ? Nodes / WarpSize : 1, Each = Branches / Sharers;
        constexpr bool CanInner = N + 1 < RowSteps;

        int lane = threadIdx.x % WarpSize, own = lane % Nodes, sharer = lane / Nodes % Sharers;
        const int* before_row = row(first / RowSteps);
        Value x[Vector];
#pragma unroll
        for (int v = 0; v < Vector; v++)
            x[v] = Costs::value(weights[((t + shift) * Vector + v) & (TileWeights - 1)]);

        int before[Rounds][Each];
        uint32_t codewords[Rounds][Each];
#pragma unroll
        for (int k = 0; k < Rounds; k++)
        {
#pragma unroll
            for (int i = 0; i < Each; i++)
            {
                unsigned node = own + k * WarpSize, d = sharer + i * Sharers;
                unsigned state = node_group(group, N, node) + d * Groups;
                if (CanInner && !leaves)
                    before[k][i] = scratch.minima[CanInner ? Nodes * Branches + node + d * Nodes : 0];
                else
                    before[k][i] = before_row[state >> StepBits];
                codewords[k][i] = table[Vector == 2 ? state : state / 2] >> (Vector == 2 ? 0 : state % 2 * 16);
            }
        }
#pragma unroll
        for (int k = 0; k < Rounds; k++)
        {
            int least = 0x7fffffff, branch = 0;
#pragma unroll
            for (int i = 0; i < Each; i++)
            {
                Value cost = Costs::square_add(Costs::subtract(x[0], Costs::low(codewords[k][i])),
                                               Costs::value(before[k][i]));
                if constexpr (Vector == 2)
                    cost = Costs::square_add(Costs::subtract(x[1], Costs::high(codewords[k][i])), cost);
                int bits = Costs::pick(Costs::bits(cost), tile);
                if (bits < least)
                    least = bits, branch = sharer + i * Sharers;
            }
#pragma unroll
            for (int mask = 1; mask < Sharers; mask *= 2)
            {
                int other = __shfl_xor_sync(FullWarp, least, mask * Nodes);
                int other_branch = __shfl_xor_sync(FullWarp, branch, mask * Nodes);
                if (other < least || (other == least && other_branch < branch))
                    least = other, branch = other_branch;
            }
            if (lane < Nodes || Nodes > WarpSize)
            {
                int word = Costs::spread(least);
                if constexpr (Costs::Normalized)
                    word = Costs::bits(Costs::subtract(Costs::value(word), Costs::value(offsets[t])));
                scratch.minima[Nodes + own + k * WarpSize] = Costs::spread(Costs::pick(word, tile));
                scratch.branches[Nodes + own + k * WarpSize] = static_cast<uint8_t>(branch);
            }
        }
        __syncwarp();
    }
};
