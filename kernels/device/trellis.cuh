// The HYB trellis code: states of 16 bits, two weights a state, 2K fresh bits a step, 128 steps of a 16 x 16 tile that
// close into a ring of 256 K bits.
// Source  QTIP, arXiv:2406.11235; bit placement: Reference/TrellisPacking.cs.
#pragma once

#include <cuda_fp16.h>
#include <stdint.h>

constexpr int TableEntries = 512;
constexpr int TileWeights = 256;

// A checkpoint's table: entry i is two float16, the first in the lower half.
struct HybridTable
{
    uint32_t entries[TableEntries];
};

// Copies the table to shared memory; the caller synchronises.
__device__ __forceinline__ void load_table(uint32_t* shared, const HybridTable& table)
{
    for (int i = threadIdx.x; i < TableEntries; i += blockDim.x)
        shared[i] = table.entries[i];
}

// The two float16 of a state: of h = s (s + 1), bits 6 ... 14 choose the entry, bit 15 changes the first number's sign.
__device__ __forceinline__ uint32_t codeword_bits(const uint32_t* table, uint32_t state)
{
    uint32_t hash = state * (state + 1);
    return table[(hash >> 6) & (TableEntries - 1)] ^ (hash & 0x8000u);
}

__device__ __forceinline__ float2 codeword(uint32_t bits)
{
    __half2_raw raw;
    raw.x = static_cast<unsigned short>(bits);
    raw.y = static_cast<unsigned short>(bits >> 16);
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
// Each lane gets the states of an mma.m16n8k16 A fragment: states[row tile][column tile][j] stands for the row lane/4 +
// 8 (j & 1) and the columns lane%4 * 2 + 8 (j >> 1) and the next.
template <int K, bool KernelLayout> struct TrellisUnit
{
    static constexpr int Tiles = KernelLayout ? 2 : 1;
    static constexpr int Rows = 16 * Tiles;
    static constexpr int Words = 16 * K * Tiles * Tiles;      // 16-bit words

    uint32_t states[Tiles][Tiles][4];

    __device__ __forceinline__ void load(const uint16_t* words, int lane, bool aligned)
    {
        if constexpr (KernelLayout)
            load_records(words, lane, aligned);
        else
            load_windows(words, lane);
    }

private:
    // Lane records of 4 K bytes: a K-byte little-endian integer, first bit most significant, for the tiles (0,0),
    // (1,0), (0,1), (1,1) as (row, column).
    __device__ __forceinline__ void load_records(const uint16_t* words, int lane, bool aligned)
    {
        constexpr int Bits = 8 * K;
        const uint16_t* record = words + lane * 2 * K;
        uint32_t own[K];
        if (!aligned)
        {
#pragma unroll
            for (int i = 0; i < K; i++)
                own[i] = record[2 * i] | static_cast<uint32_t>(record[2 * i + 1]) << 16;
        }
        else if constexpr (K == 2)
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
#pragma unroll
        for (int tile = 0; tile < 4; tile++)
        {
            constexpr uint32_t Mask = Bits == 32 ? 0xffffffffu : (1u << (Bits % 32)) - 1;
            int low = tile * Bits / 32, high = (tile * Bits + Bits - 1) / 32;
            uint32_t mine = __funnelshift_r(own[low], own[high], tile * Bits % 32) & Mask;
            uint32_t next = __shfl_sync(0xffffffffu, mine, (lane + 1) & 31);

            // The lane's Bits bits and the next lane's, from the top of 64 bits on.
            uint32_t upper = K == 4 ? mine : mine << (32 - Bits) | next >> (2 * Bits - 32);
            uint32_t lower = K == 2 ? 0 : next << (64 - 2 * Bits);
#pragma unroll
            for (int j = 0; j < 4; j++)
                states[tile & 1][tile >> 1][j] = __funnelshift_l(lower, upper, 2 * K * j) >> 16;
        }
    }

    // 16-bit words in the order of the ring, first bit most significant; step t stands for row t / 8, columns t % 8 * 2
    // and the next.
    __device__ __forceinline__ void load_windows(const uint16_t* words, int lane)
    {
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
            int step = ((lane >> 2) + 8 * (j & 1)) * 8 + (lane & 3) + 4 * (j >> 1), bit = step * 2 * K, word = bit >> 4;
            uint32_t pair = static_cast<uint32_t>(words[word]) << 16 | words[word + 1 == Words ? 0 : word + 1];
            states[0][0][j] = (pair << (bit & 15)) >> 16;
        }
    }
};
