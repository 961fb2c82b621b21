// Trellis codes on tiles of 16 x 16 weights: a ring of 256 K bits, most significant first; the 16-bit state of step t
// begins at bit t K V and gives V weights, exact float16 numbers. Codewords are made in pairs of adjacent columns, the
// first in the lower half: what an operand register of an mma with float16 inputs holds.
// Source  QTIP, arXiv:2406.11235; codes: Codebooks/TrellisCodes.cs; bit placement: Reference/TrellisPacking.cs.
#pragma once

#include "reduce.cuh"

#include <cuda_fp16.h>
#include <stdint.h>

constexpr int TableEntries = 512;
constexpr int TileWeights = 256;

// HYB, V = 2: of h = s (s + 1), bits 6 ... 14 choose an entry, bit 15 changes the first number's sign.
struct HybridCode
{
    static constexpr int Vector = 2;

    // A checkpoint's table: entry i is two float16.
    struct Parameters
    {
        uint32_t entries[TableEntries];
    };

    const uint32_t* table;

    // The whole block calls it; the caller synchronises.
    __device__ __forceinline__ explicit HybridCode(const Parameters& parameters)
    {
        __shared__ uint32_t shared_table[TableEntries];
        for (int i = threadIdx.x; i < TableEntries; i += blockDim.x)
            shared_table[i] = parameters.entries[i];
        table = shared_table;
    }

    // Bits above the 16 of the state may hold anything.
    __device__ __forceinline__ uint32_t pair(uint32_t state) const
    {
        uint32_t hash = state * (state + 1);
        return table[(hash >> 6) & (TableEntries - 1)] ^ (hash & 0x8000u);
    }
};

// The codes with V = 1 hash the state to x = s multiplier + addend.
struct ComputedCodeParameters
{
    uint32_t multiplier, addend;
    float origin, scale, offset;      // of byte sums
};

// 3INST and MCG: the sum of two float16 made of the halves of x.
struct HalfPairCode
{
    static constexpr int Vector = 1;
    using Parameters = ComputedCodeParameters;

    Parameters parameters;

    __device__ __forceinline__ explicit HalfPairCode(const Parameters& given) : parameters(given) {}

    __device__ __forceinline__ uint32_t pair(uint32_t first, uint32_t second) const
    {
        uint32_t a = terms(first), b = terms(second);
        __half2 sum = __hadd2_rn(half2_of(__byte_perm(a, b, 0x5410)), half2_of(__byte_perm(a, b, 0x7632)));
        return *reinterpret_cast<uint32_t*>(&sum);
    }

private:
    __device__ __forceinline__ uint32_t terms(uint32_t state) const
    {
        return ((state * parameters.multiplier + parameters.addend) & 0x8fff8fffu) ^ 0x3b603b60u;
    }

    static __device__ __forceinline__ __half2 half2_of(uint32_t bits) { return *reinterpret_cast<__half2*>(&bits); }
};

// 1MAD and MUL1: (B - origin) scale + offset of the sum B of the four bytes of x.
struct ByteSumCode
{
    static constexpr int Vector = 1;
    using Parameters = ComputedCodeParameters;

    Parameters parameters;

    __device__ __forceinline__ explicit ByteSumCode(const Parameters& given) : parameters(given) {}

    __device__ __forceinline__ uint32_t pair(uint32_t first, uint32_t second) const
    {
        __half2 values = __floats2half2_rn(value(first), value(second));
        return *reinterpret_cast<uint32_t*>(&values);
    }

private:
    // 0x4b000000 are the bits of 2^23, whose last place is 1.
    __device__ __forceinline__ float value(uint32_t state) const
    {
        uint32_t x = state * parameters.multiplier + parameters.addend;
        float sum = __uint_as_float(__dp4a(x, 0x01010101u, 0x4b000000u));
        return fmaf(sum - (8388608.0f + parameters.origin), parameters.scale, parameters.offset);
    }
};

__device__ __forceinline__ float2 codeword(uint32_t pair)
{
    __half2_raw raw;
    raw.x = static_cast<unsigned short>(pair);
    raw.y = static_cast<unsigned short>(pair >> 16);
    return __half22float2(raw);
}

// Row and column in a tile of weight i of its path: row-major, or element i % 8 of lane i / 8 of an mma.m16n8k16's A.
__device__ __forceinline__ int2 weight_place(bool fragment_order, int i)
{
    if (!fragment_order)
        return make_int2(i >> 4, i & 15);
    int lane = i >> 3;
    return make_int2((lane >> 2) + (i & 2) * 4, (lane & 3) * 2 + (i & 1) + (i & 4) * 2);
}

// A unit is what one warp decodes at once: a 2 x 2 group of tiles of the kernel layout, one tile of the plain layout.
// Pair j of a lane's four in a tile stands for row lane / 4 + 8 (j & 1) and columns column(lane, j) and the next: the
// registers of an mma.m16n8k16's A, with the columns in an order of the layout's own.
// Codes are aligned to 16 bytes.
template <typename Code, int K, bool KernelLayout> struct TrellisUnit;

template <typename Code, int K> struct TrellisUnit<Code, K, true>
{
    static_assert(Code::Vector == 2, "the kernel layout is HYB's");
    static constexpr int Tiles = 2, Rows = 32;
    static constexpr int Words = 64 * K;      // 16-bit words

    static __device__ __forceinline__ int column(int lane, int j) { return (lane & 3) * 2 + 8 * (j >> 1); }

    // Lane records of 4 K bytes: a K-byte little-endian integer, first bit most significant, for the tiles (0,0),
    // (1,0), (0,1), (1,1) as (row, column).
    __device__ __forceinline__ void load(const uint16_t* words, int lane)
    {
        const uint16_t* record = words + lane * 2 * K;
        if constexpr (K == 2)
        {
            uint2 v = *reinterpret_cast<const uint2*>(record);
            own[0] = v.x, own[1] = v.y;
        }
        else if constexpr (K == 4)
        {
            uint4 v = *reinterpret_cast<const uint4*>(record);
            own[0] = v.x, own[1] = v.y, own[2] = v.z, own[3] = v.w;
        }
        else
        {
#pragma unroll
            for (int i = 0; i < K; i++)
                own[i] = reinterpret_cast<const uint32_t*>(record)[i];
        }
    }

    // All lanes of the warp call it.
    __device__ __forceinline__ void decode(uint32_t (&pairs)[4], const Code& code, int row_tile, int column_tile, int lane) const
    {
        constexpr int Bits = 8 * K;
        constexpr uint32_t Mask = Bits == 32 ? 0xffffffffu : (1u << (Bits % 32)) - 1;
        int first = (2 * column_tile + row_tile) * Bits, low = first / 32, high = (first + Bits - 1) / 32;
        uint32_t mine = __funnelshift_r(own[low], own[high], first % 32) & Mask;
        uint32_t next = __shfl_sync(FullWarp, mine, (lane + 1) & 31);

        // The lane's Bits bits and the next lane's, from the top of 64 bits on.
        uint32_t upper = K == 4 ? mine : mine << (32 - Bits) | next >> (2 * Bits - 32);
        uint32_t lower = K == 2 ? 0 : next << (64 - 2 * Bits);
#pragma unroll
        for (int j = 0; j < 4; j++)
            pairs[j] = code.pair(__funnelshift_l(lower, upper, 2 * K * j) >> 16);
    }

private:
    uint32_t own[K];
};

// Plain layout: bit of the ring where the window of a lane begins in the upper or lower half of a tile, and 32-bit words
// that hold a window of so many bits wherever it begins.
__host__ __device__ constexpr int window_bit(int k, int lane, int half)
{
    return (16 * (lane / 4 + 8 * half) + 4 * (lane % 4)) * k;
}

constexpr int window_words(int k, int bits)
{
    int words = 0;
    for (int lane = 0; lane < WarpSize; lane++)
    {
        int needed = (window_bit(k, lane, 0) % 32 + bits + 31) / 32;
        words = needed > words ? needed : words;
    }
    return words;
}

// 16-bit words in the order of the ring, weights row-major. A lane has four adjacent columns of two rows, a window of
// their steps in each.
template <typename Code, int K> struct TrellisUnit<Code, K, false>
{
    static constexpr int Tiles = 1, Rows = 16;
    static constexpr int Words = 16 * K;

    static __device__ __forceinline__ int column(int lane, int j) { return (lane & 3) * 4 + 2 * (j >> 1); }

    __device__ __forceinline__ void load(const uint16_t* words, int lane)
    {
        const uint32_t* ring = reinterpret_cast<const uint32_t*>(words);
#pragma unroll
        for (int half = 0; half < 2; half++)
        {
            int word = window_bit(K, lane, half) / 32;
#pragma unroll
            for (int i = 0; i < WindowWords; i++)
                windows[half][i] = ring[word + i < RingWords ? word + i : word + i - RingWords];
        }
    }

    __device__ __forceinline__ void decode(uint32_t (&pairs)[4], const Code& code, int, int, int lane) const
    {
#pragma unroll
        for (int half = 0; half < 2; half++)
        {
            // The window from the top of 64 bits on. The halves of a loaded word are in the other order.
            uint32_t words[3] = {};
#pragma unroll
            for (int i = 0; i < WindowWords; i++)
                words[i] = __byte_perm(windows[half][i], 0, 0x1032);
            int shift = window_bit(K, lane, half) % 32;
            uint32_t upper = __funnelshift_l(words[1], words[0], shift);
            uint32_t lower = __funnelshift_l(words[2], words[1], shift);
#pragma unroll
            for (int i = 0; i < 2; i++)
            {
                if constexpr (Code::Vector == 2)
                    pairs[half + 2 * i] = code.pair(__funnelshift_l(lower, upper, 2 * K * i) >> 16);
                else
                    pairs[half + 2 * i] = code.pair(__funnelshift_l(lower, upper, 2 * K * i) >> 16,
                                                    __funnelshift_l(lower, upper, 2 * K * i + K) >> 16);
            }
        }
    }

private:
    static constexpr int RingWords = 8 * K;

    static constexpr int WindowWords = window_words(K, (4 - Code::Vector) * K + 16);

    uint32_t windows[2][WindowWords];
};
