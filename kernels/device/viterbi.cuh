// Tail-biting Viterbi encoder of trellis tiles: the forward passes. The way back is in viterbi_trace.cuh.
// A state is s = g + d G: g < G its lower 16 - S bits (the group that the next step sees), d < 2^S, S = K V. Only
// m_t[g] = min over d of cost_t(g + d G) crosses threads, in shared memory; every codeword stays in a register of the
// thread that has its state: a step is one subtraction, one multiply-add (two for V = 2) and half a three-way minimum a
// state.
// V = 2 (HYB): h(s) = s (s + 1) has two symmetries mod 2^16: h(~s) = h(s), and h(s ^ 0x8000) = h(s) ^ 0x8000, which
// only changes the first weight's sign. So a quarter of the codewords serves all states.
#pragma once

#include "viterbi_shape.cuh"

template <typename Shape> struct ViterbiForward
{
    using Costs = typename Shape::Costs;
    using Value = typename Costs::Value;
    static constexpr int StepBits = Shape::StepBits, Branches = Shape::Branches, Groups = Shape::Groups;
    static constexpr int Words = Shape::Words, Steps = Shape::Steps, Parts = Shape::Parts, Vector = Shape::Vector;
    static constexpr int ThreadBranches = Shape::ThreadBranches, ThreadGroups = Shape::ThreadGroups;
    static constexpr int Chunks = Shape::Chunks, ChunkGroups = Shape::ChunkGroups, RowSteps = Shape::RowSteps;
    static constexpr int Pairs = Shape::Symmetric ? ThreadGroups : ThreadGroups / 2;
    static constexpr int Minima = Shape::Symmetric ? 2 * ThreadGroups : ChunkGroups;
    static constexpr int Kept = Minima > Parts ? Minima / Parts : 1;       // minima of a chunk that a thread writes
    static constexpr int BranchSources = ChunkGroups > Branches ? ChunkGroups / Branches : 1;

    // Minima of the step before that two branches of a chunk's groups come from.
    struct Sources
    {
        int minima[2][BranchSources];
    };

    // Two branches have so little to compute for each minimum read that a chunk must read those of the next: the
    // compiler, who cannot know that it writes elsewhere, would not.
    static constexpr bool ReadsAhead = !Shape::Symmetric && Branches == 2;

    // A row of 128 KB takes the time of half a step to write, so it is written while one computes.
    static constexpr bool KeepsInStep = Groups == 32768;

    template <bool Wide, int Dummy = 0> struct BufferType
    {
        using Type = SixQuarters<Groups, Chunks>;
    };
    template <int Dummy> struct BufferType<false, Dummy>
    {
        using Type = TwoBuffers<Groups, Words>;
    };
    using Buffers = typename BufferType<StepBits == 1>::Type;
    static constexpr int Phases = Buffers::TwoPhases ? 2 : 1, PhaseChunks = Chunks / Phases;

    TrellisShared<Shape>& shared;
    Buffers buffers;
    int part, first_group, first_source;      // the thread's first group and its predecessor of branch 0
    uint32_t codewords[ThreadBranches][Pairs];             // V = 2: of one state; V = 1: of two adjacent groups

    // table: V = 2: two float16 for each state; V = 1: one.
    __device__ __forceinline__ ViterbiForward(TrellisShared<Shape>& shared, int* memory, const uint32_t* table)
        : shared(shared), buffers{memory}, part(threadIdx.x % Parts), first_group(threadIdx.x / Parts * ChunkGroups),
          first_source(first_group >> StepBits)
    {
        // The places of all codewords differ from this one by numbers known at compile time.
        constexpr int Group = Shape::Symmetric ? 1 : 2, BranchStride = Groups / Group;     // in words
        const uint32_t* own = table + first_group / Group + part * BranchStride;
#pragma unroll
        for (int j = 0; j < ThreadBranches; j++)
        {
#pragma unroll
            for (int i = 0; i < Pairs; i++)
            {
                int g = i * Group / ChunkGroups * Shape::ChunkStride + i * Group % ChunkGroups;
                codewords[j][i] = own[j * Parts * BranchStride + g / Group];
            }
        }
    }

    // All steps of a pass. Step t sees the weights of step (t + shift) mod Steps of the tile. only: the group that each
    // tile may start from, or null for all. The minima after every RowSteps-th step go to the rows of `history`, the
    // first of which is row `first_row`; those after the last step, too, if keep_last.
    __device__ __forceinline__ void pass(int set, int steps, int shift, const int* only, int* history, int first_row,
                                         bool keep_last, int* offsets)
    {
        auto row_after = [&](int t) -> int*
        {
            int row = (t + RowSteps) / RowSteps - first_row;
            bool kept = row >= 0 && (t + 1 == steps ? keep_last : (t + 1) % RowSteps == 0);
            return kept ? history + static_cast<size_t>(row) * Words * Groups : nullptr;
        };
        start(only);
        if (first_row == 0)
            keep(history);
        for (int t = 0; t < steps; t++)
        {
            Value x[Words][Vector];
#pragma unroll
            for (int w = 0; w < Words; w++)
            {
#pragma unroll
                for (int v = 0; v < Vector; v++)
                    x[w][v] = Costs::value(shared.weights[set][w][((t + shift) * Vector + v) & (TileWeights - 1)]);
            }
            int* row = KeepsInStep ? row_after(t) : nullptr;
            if (Costs::Normalized && (t % NormalizeSteps == 0 || t % NormalizeSteps == NormalizeSteps - 1))
                step<true>(x, t, offsets, row);
            else
                step<false>(x, t, offsets, row);
            buffers.advance();
            forward_barrier();
            if constexpr (!KeepsInStep)
            {
                if (int* kept = row_after(t))
                    keep(kept);
            }
        }
    }

private:
    __device__ __forceinline__ int branch(int j) const { return j * Parts + part; }
    __device__ __forceinline__ int group(int chunk) const { return chunk * Shape::ChunkStride + first_group; }

    // Costs before the first step.
    __device__ __forceinline__ void start(const int* only)
    {
#pragma unroll
        for (int w = 0; w < Words; w++)
        {
            for (int g = threadIdx.x; g < Groups; g += ForwardThreads)
            {
                int cost = 0;
                if (only != nullptr)
                {
                    if constexpr (Costs::Tiles == 1)
                        cost = g == only[w] ? 0 : Costs::Infinite;
                    else
                        cost = Costs::Infinite &
                               ((g == only[2 * w] ? 0 : 0xffff) | (g == only[2 * w + 1] ? 0 : ~0xffff));
                }
                *buffers.place(w, g) = cost;
            }
        }
        forward_barrier();
    }

    // Copies the minima to a row of the history. The next step does not write where they are.
    __device__ __forceinline__ void keep(int* row) const
    {
        constexpr int Stride = 4 * ForwardThreads, Rounds = Groups > Stride ? Groups / Stride : 1;
        int own = 4 * threadIdx.x;
        if (Groups < Stride && own >= Groups)
            return;
#pragma unroll
        for (int w = 0; w < Words; w++)
        {
#pragma unroll 4
            for (int r = 0; r < Rounds; r++)
            {
                const int* from = buffers.place(w, r * Stride) + own;
                int* to = row + own + w * Groups + r * Stride;
                __stcs(reinterpret_cast<int4*>(to), *reinterpret_cast<const int4*>(from));
            }
        }
    }

    // Special: packed half either subtracts from the minima of this step or looks for their lowest.
    // row: of the history, for the minima of this step if KeepsInStep, or null.
    template <bool Special>
    __device__ __forceinline__ void step(const Value (&x)[Words][Vector], int t, int* offsets, int* row)
    {
        Value offset[Words];
        int lowest[Words];
        bool normalize = Special && t % NormalizeSteps == 0 && t > 0, measure = Special && t % NormalizeSteps != 0;
        if constexpr (Costs::Normalized)
        {
#pragma unroll
            for (int w = 0; w < Words; w++)
            {
                int bits = normalize ? shared.lowest[w][0] | shared.lowest[w][1] << 16 : 0;
                offset[w] = Costs::value(bits);
                lowest[w] = Costs::Infinite;
                if (threadIdx.x == 0)
                {
                    offsets[w * Steps + t] = bits;
                    if (t % NormalizeSteps == 1)
                        shared.lowest[w][0] = shared.lowest[w][1] = Costs::Infinite & 0xffff;
                }
            }
        }

        // Keeps the compiler from unpacking all codewords before the first step, into registers that there are not.
#pragma unroll
        for (int j = 0; j < ThreadBranches; j++)
        {
#pragma unroll
            for (int i = 0; i < Pairs; i++)
                asm volatile("" : "+r"(codewords[j][i]));
        }

        int* own_row = row + first_group;
        if constexpr (KeepsInStep)
            asm volatile("" : "+l"(own_row));              // else it is computed anew for every chunk
        int least[Words][Minima];
        Sources ahead[2];                      // of even and of odd chunks
        if constexpr (ReadsAhead)
            ahead[0] = read(0, 0, 0);
#pragma unroll
        for (int phase = 0; phase < Phases; phase++)
        {
            if (phase > 0)
                forward_barrier();
#pragma unroll
            for (int chunk = phase * PhaseChunks; chunk < (phase + 1) * PhaseChunks; chunk++)
            {
                if (ReadsAhead && chunk + 1 < Chunks)
                    ahead[(chunk + 1) % 2] = read(0, chunk + 1, 0);
                if constexpr (Shape::Symmetric)
                    visit_symmetric(x, least);
                else
                    visit(x, chunk, ahead[chunk % 2], least);
                int first[Words];
#pragma unroll
                for (int w = 0; w < Words; w++)
                {
                    first[w] = reduce(least[w]);
                    if (Special && normalize)
                    {
#pragma unroll
                        for (int i = 0; i < Kept; i++)
                            least[w][i] = Costs::bits(Costs::subtract(Costs::value(least[w][i]), offset[w]));
                    }
                    if (measure)
                    {
#pragma unroll
                        for (int i = 0; i < Kept; i++)
                            lowest[w] = Costs::least(lowest[w], least[w][i]);
                    }
                    store(w, chunk, first[w], least[w]);
                    if constexpr (KeepsInStep)
                    {
                        if (row != nullptr)
                            __stcs(reinterpret_cast<int4*>(own_row + chunk * Shape::ChunkStride),
                                   make_int4(least[w][0], least[w][1], least[w][2], least[w][3]));
                    }
                }
            }
        }
        if (measure)
        {
#pragma unroll
            for (int w = 0; w < Words; w++)
            {
#pragma unroll
                for (int tile = 0; tile < Costs::Tiles; tile++)
                {
                    int value = __reduce_min_sync(FullWarp, Costs::pick(lowest[w], tile));
                    if (threadIdx.x % WarpSize == 0)
                        atomicMin(&shared.lowest[w][tile], value);
                }
            }
        }
    }

    // The minima that branches j and j + 1 of the groups of a chunk come from.
    __device__ __forceinline__ Sources read(int word, int chunk, int j) const
    {
        Sources sources;
#pragma unroll
        for (int b = 0; b < 2; b++)
        {
            int source = first_source + chunk * (Shape::ChunkStride >> StepBits);
            source += branch(j + b) * (Groups >> StepBits);
            const int* from = buffers.from(word, chunk, j + b, source);
            if constexpr (BranchSources == 2)
            {
                int2 two = *reinterpret_cast<const int2*>(from);
                sources.minima[b][0] = two.x, sources.minima[b][1] = two.y;
            }
            else
            {
                sources.minima[b][0] = *from;
            }
        }
        return sources;
    }

    // V = 1: minima over the thread's branches of the groups of a chunk. ahead: what they come from, if ReadsAhead.
    __device__ __forceinline__ void visit(const Value (&x)[Words][Vector], int chunk, const Sources& ahead,
                                          int (&least)[Words][Minima]) const
    {
#pragma unroll
        for (int j = 0; j < ThreadBranches; j += 2)
        {
#pragma unroll
            for (int w = 0; w < Words; w++)
            {
                Sources before = ReadsAhead ? ahead : read(w, chunk, j);
#pragma unroll
                for (int i = 0; i < ChunkGroups; i++)
                {
                    int cost[2];
#pragma unroll
                    for (int b = 0; b < 2; b++)
                    {
                        uint32_t pair = codewords[j + b][(chunk * ChunkGroups + i) / 2];
                        Value d = Costs::subtract(x[w][0], i % 2 == 0 ? Costs::low(pair) : Costs::high(pair));
                        Value minimum = Costs::value(before.minima[b][i * BranchSources / ChunkGroups]);
                        cost[b] = Costs::bits(Costs::square_add(d, minimum));
                    }
                    least[w][i] = j == 0 ? Costs::least(cost[0], cost[1]) : Costs::least(least[w][i], cost[0], cost[1]);
                }
            }
        }
    }

    // V = 2: minima over the thread's branches d < 2^S / 2 and d + 2^S / 2 of its groups, then of their mirror images
    // G - 1 - g.
    __device__ __forceinline__ void visit_symmetric(const Value (&x)[Words][Vector], int (&least)[Words][Minima]) const
    {
#pragma unroll
        for (int j = 0; j < ThreadBranches; j++)
        {
            int source = first_source + branch(j) * (Groups >> StepBits);
#pragma unroll
            for (int w = 0; w < Words; w++)
            {
                Value direct = Costs::value(*buffers.from(w, 0, 0, source));
                Value opposite = Costs::value(*buffers.from(w, 0, 0, source + Groups / 2));
                Value mirror = Costs::value(*buffers.from(w, 0, 0, Groups - 1 - source));
                Value mirror_opposite = Costs::value(*buffers.from(w, 0, 0, Groups / 2 - 1 - source));
#pragma unroll
                for (int i = 0; i < ThreadGroups; i++)
                {
                    Value c0 = Costs::low(codewords[j][i]), c1 = Costs::high(codewords[j][i]);
                    Value minus = Costs::subtract(x[w][0], c0), plus = Costs::add(x[w][0], c0);
                    Value second = Costs::subtract(x[w][1], c1);
                    int own0 = branch_cost(minus, second, direct), own1 = branch_cost(plus, second, opposite);
                    int mirror0 = branch_cost(minus, second, mirror);
                    int mirror1 = branch_cost(plus, second, mirror_opposite);
                    int& own = least[w][i];
                    int& mirrored = least[w][ThreadGroups + i];
                    own = j == 0 ? Costs::least(own0, own1) : Costs::least(own, own0, own1);
                    mirrored = j == 0 ? Costs::least(mirror0, mirror1) : Costs::least(mirrored, mirror0, mirror1);
                }
            }
        }
    }

    static __device__ __forceinline__ int branch_cost(Value first, Value second, Value before)
    {
        return Costs::bits(Costs::square_add(second, Costs::square_add(first, before)));
    }

    // Threads of the same groups halve what they keep until each has its own minima, the first Kept of `least`; returns
    // the place that the first of them had.
    __device__ __forceinline__ int reduce(int (&least)[Minima]) const
    {
        int first = 0;
#pragma unroll
        for (int mask = 1, count = Minima; mask < Parts; mask *= 2)
        {
            bool upper = (threadIdx.x & mask) != 0;
            if (count > 1)
            {
                count /= 2;
#pragma unroll
                for (int i = 0; i < count; i++)
                {
                    int given = upper ? least[i] : least[i + count], own = upper ? least[i + count] : least[i];
                    least[i] = Costs::least(own, __shfl_xor_sync(FullWarp, given, mask));
                }
                first += upper ? count : 0;
            }
            else
            {
                least[0] = Costs::least(least[0], __shfl_xor_sync(FullWarp, least[0], mask));
            }
        }
        return first;
    }

    __device__ __forceinline__ void store(int word, int chunk, int first, const int (&least)[Minima]) const
    {
        if constexpr (Parts == 1)
        {
#pragma unroll
            for (int i = 0; i < Minima; i += 4)
            {
                int4 four;
                int g = group(chunk) + i;
                if (Shape::Symmetric && i >= ThreadGroups)
                {
                    four = make_int4(least[i + 3], least[i + 2], least[i + 1], least[i]);
                    g = Groups - ThreadGroups - first_group;
                }
                else
                {
                    four = make_int4(least[i], least[i + 1], least[i + 2], least[i + 3]);
                }
                *reinterpret_cast<int4*>(buffers.to(word, chunk, g)) = four;
            }
        }
        else if (part < Minima)
        {
#pragma unroll
            for (int i = 0; i < Kept; i++)
            {
                int at = first + i, g = group(chunk) + at;
                if (Shape::Symmetric && at >= ThreadGroups)
                    g = Groups - 1 - first_group - (at - ThreadGroups);
                *buffers.to(word, chunk, g) = least[i];
            }
        }
    }
};
