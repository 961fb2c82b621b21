// Tail-biting Viterbi encoder of trellis tiles: the arithmetic of its costs, where they lie, and the sizes of each code
// and rate.
#pragma once

#include "reduce.cuh"
#include "trellis.cuh"

constexpr int ForwardThreads = 512;
constexpr int Sets = 3;                       // sets of tiles in flight: first pass, second pass, way back
constexpr int NormalizeSteps = 8;             // packed half: the lowest cost is subtracted every so many steps

// Waits for the threads of the forward passes.
__device__ __forceinline__ void forward_barrier()
{
    asm volatile("bar.sync 1, %0;" ::"n"(ForwardThreads) : "memory");
}

// Costs are float32, one tile a word. Codewords are float16 numbers, two a register.
struct SingleCosts
{
    using Value = float;
    static constexpr int Tiles = 1;
    static constexpr bool Normalized = false;
    static constexpr int Infinite = 0x7f800000;

    static __device__ __forceinline__ float low(uint32_t pair) { return __low2float(as_half2(pair)); }
    static __device__ __forceinline__ float high(uint32_t pair) { return __high2float(as_half2(pair)); }
    static __device__ __forceinline__ float add(float a, float b) { return __fadd_rn(a, b); }
    static __device__ __forceinline__ float subtract(float a, float b) { return __fsub_rn(a, b); }
    static __device__ __forceinline__ float square_add(float d, float before) { return __fmaf_rn(d, d, before); }
    static __device__ __forceinline__ int bits(float value) { return __float_as_int(value); }
    static __device__ __forceinline__ float value(int bits) { return __int_as_float(bits); }
    static __device__ __forceinline__ int least(int a, int b) { return min(a, b); }
    static __device__ __forceinline__ int least(int a, int b, int c) { return __vimin3_s32(a, b, c); }
    static __device__ __forceinline__ int pick(int word, int) { return word; }
    static __device__ __forceinline__ int spread(int picked) { return picked; }

private:
    static __device__ __forceinline__ __half2 as_half2(uint32_t bits) { return *reinterpret_cast<__half2*>(&bits); }
};

// Costs are float16, two tiles a word. The costs are not negative, so their bits compare as integers.
struct PackedCosts
{
    using Value = __half2;
    static constexpr int Tiles = 2;
    static constexpr bool Normalized = true;
    static constexpr int Infinite = 0x7c007c00;

    static __device__ __forceinline__ __half2 low(uint32_t pair) { return __low2half2(value(pair)); }
    static __device__ __forceinline__ __half2 high(uint32_t pair) { return __high2half2(value(pair)); }
    static __device__ __forceinline__ __half2 add(__half2 a, __half2 b) { return __hadd2_rn(a, b); }
    static __device__ __forceinline__ __half2 subtract(__half2 a, __half2 b) { return __hsub2_rn(a, b); }
    static __device__ __forceinline__ __half2 square_add(__half2 d, __half2 before) { return __hfma2(d, d, before); }
    static __device__ __forceinline__ int bits(__half2 value) { return *reinterpret_cast<int*>(&value); }
    static __device__ __forceinline__ __half2 value(int bits) { return *reinterpret_cast<__half2*>(&bits); }
    static __device__ __forceinline__ int least(int a, int b) { return __vmins2(a, b); }
    static __device__ __forceinline__ int least(int a, int b, int c) { return __vimin3_s16x2(a, b, c); }
    static __device__ __forceinline__ int pick(int word, int tile) { return tile == 0 ? word & 0xffff : word >> 16; }
    static __device__ __forceinline__ int spread(int picked) { return picked * 0x10001; }
};

// Where the minima of a step lie in shared memory: two buffers in turn.
template <int Groups, int Words> struct TwoBuffers
{
    static constexpr int Size = 2 * Words * Groups;
    static constexpr bool TwoPhases = false;

    int* memory;
    int now = 0;

    __device__ __forceinline__ int* place(int word, int g) const { return memory + (now * Words + word) * Groups + g; }
    __device__ __forceinline__ const int* from(int word, int, int, int g) const { return place(word, g); }
    __device__ __forceinline__ int* to(int word, int, int g) const
    {
        return memory + ((1 - now) * Words + word) * Groups + g;
    }
    __device__ __forceinline__ void advance() { now = 1 - now; }
};

// The same for S = 1, whose two buffers would not fit: a ring of six places for the quarters of the groups. Groups
// below G / 2 come from the quarters 0 and 2 and go to the two free places; the others come from 1 and 3 and go to
// where 0 and 2 were. The places of the new quarters are those of the old, one further.
template <int Groups, int Chunks> struct SixQuarters
{
    static constexpr int Size = 6 * (Groups / 4), Quarter = Groups / 4;
    static constexpr bool TwoPhases = true;

    int* memory;
    int turn = 0;

    // Of the quarter, 0 ... 3; its place in the ring is turn + 0, 2, 5 or 4. The free ones are turn + 1 and turn + 3.
    __device__ __forceinline__ int* quarter(int q) const { return ring(q == 0 ? 0 : q == 1 ? 2 : q == 2 ? 5 : 4); }
    __device__ __forceinline__ int* place(int, int g) const { return quarter(g / Quarter) + g % Quarter; }

    // source < G / 2 for branch 0; branch 1 lies G / 2 above it. chunk: of groups, a compile-time number.
    __device__ __forceinline__ const int* from(int, int chunk, int branch, int source) const
    {
        int half = chunk / (Chunks / 2);
        return quarter(2 * branch + half) + (source - branch * (Groups / 2) - half * Quarter);
    }
    __device__ __forceinline__ int* to(int, int chunk, int g) const
    {
        int q = chunk / (Chunks / 4);
        return ring(q == 0 ? 1 : q == 1 ? 3 : q == 2 ? 0 : 5) + (g - q * Quarter);
    }
    __device__ __forceinline__ void advance() { turn = turn == 5 ? 0 : turn + 1; }

private:
    __device__ __forceinline__ int* ring(int place) const
    {
        int at = turn + place;
        return memory + (at < 6 ? at : at - 6) * Quarter;
    }
};

// What the encoder of a code and rate looks like. Words: words of costs that one block works on at once.
template <int StepBits_, int Vector_, typename Costs_, int Words_> struct TrellisShape
{
    using Costs = Costs_;
    static constexpr int StepBits = StepBits_, Vector = Vector_, Words = Words_;
    static constexpr int Branches = 1 << StepBits, Groups = 65536 / Branches, Steps = TileWeights / Vector;
    static constexpr int Tiles = Words * Costs::Tiles, Threads = ForwardThreads + Tiles * WarpSize;
    static constexpr bool Symmetric = Vector == 2;

    // Groups and branches of a thread; Parts threads share their groups.
    static constexpr int ThreadBranches = Symmetric ? 8 : Branches < 16 ? Branches : 16;
    static constexpr int ThreadGroups = Symmetric ? 4 : 128 / ThreadBranches;
    static constexpr int Parts = (Symmetric ? Branches / 2 : Branches) / ThreadBranches;
    static_assert((Symmetric ? Groups / 2 : Groups) / ThreadGroups * Parts == ForwardThreads, "all states, once");

    // Groups whose minima a thread works on together.
    static constexpr int ChunkGroups = Symmetric || StepBits <= 2 ? 4 : 8, Chunks = ThreadGroups / ChunkGroups;
    static constexpr int ChunkStride = ForwardThreads / Parts * ChunkGroups;

    // Minima are kept for the way back at every RowSteps-th step.
    static constexpr int RowSteps = 8 / StepBits;
    static constexpr int SecondRows = (Steps + RowSteps - 1) / RowSteps, FirstRows = Steps / 2 / RowSteps + 3;
    static constexpr int HistoryWords = (FirstRows + SecondRows) * Words * Groups;      // of a block
};

template <typename Shape> struct TrellisShared
{
    int weights[Sets][Shape::Words][TileWeights];
    int offsets[2][Shape::Words][Shape::Steps];           // what was subtracted in each step of a pass
    int lowest[Shape::Words][Shape::Costs::Tiles];
    int overlap[Sets][Shape::Tiles];
};
