// Tiles of 16 x 16 weights as packed trellis codes: a ring of 256 K bits, most significant first, in which the 16-bit
// state of step t begins at bit t K V.
// Source  QTIP, arXiv:2406.11235; bit placement: Reference/TrellisPacking.cs.
#pragma once

#include "trellis_codes.cuh"

constexpr int TileWeights = 256;

// Row and column in a tile of weight i of its path: row-major, or element i % 8 of lane i / 8 of an mma.m16n8k16's A.
__device__ __forceinline__ int2 weight_place(bool fragment_order, int i)
{
    if (!fragment_order)
        return make_int2(i >> 4, i & 15);
    int lane = i >> 3;
    return make_int2((lane >> 2) + (i & 2) * 4, (lane & 3) * 2 + (i & 1) + (i & 4) * 2);
}

// The state that begins so many bits below the top of 64 bits, with other bits above its 16.
__device__ __forceinline__ uint32_t state_at(uint32_t upper, uint32_t lower, int bit)
{
    return bit <= 16 ? upper >> (16 - bit) : __funnelshift_r(lower, upper, 48 - bit);
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

    // Where an input for an even column of the unit lies in fragment order, the lanes' after each other.
    static __device__ __forceinline__ int place(int column)
    {
        return (column & ~31) + (column & 6) * 4 + (column & 24) / 4;
    }

    // Lane records of 4 K bytes: a K-byte little-endian integer, first bit most significant, for the tiles (0,0),
    // (1,0), (0,1), (1,1) as (row, column).
    __device__ __forceinline__ void load(const uint16_t* codes, size_t unit, int lane)
    {
        const uint16_t* record = codes + lane * 2 * K + unit * Words;
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

    // The pairs of both row tiles; all lanes of the warp call it.
    __device__ __forceinline__ void decode(uint32_t (&pairs)[Tiles][4], const Code& code, int column_tile,
                                           int lane) const
    {
        // The words with the records of the two tiles, and the next lane's.
        constexpr int Used = (K + 1) / 2;
        int first = column_tile * K / 2;
        uint32_t mine[Used], next[Used];
#pragma unroll
        for (int i = 0; i < Used; i++)
        {
            mine[i] = own[first + i];
            next[i] = __shfl_sync(FullWarp, mine[i], (lane + 1) % WarpSize);
        }
#pragma unroll
        for (int row_tile = 0; row_tile < Tiles; row_tile++)
        {
            // The lane's 8 K bits of the tile and the first of the next lane's, from the top of 64 bits on.
            uint32_t upper, lower;
            if constexpr (K == 2)
            {
                upper = __byte_perm(mine[0], next[0], row_tile == 0 ? 0x1054 : 0x3276);
                lower = 0;
            }
            else if constexpr (K == 3)
            {
                int shift = 8 * (6 * column_tile + 3 * row_tile) - 32 * first;
                upper = __byte_perm(bits_from(mine, shift), bits_from(next, shift), 0x2106);
                lower = bits_from(next, shift) << 16;
            }
            else
            {
                upper = mine[row_tile];
                lower = next[row_tile];
            }
#pragma unroll
            for (int j = 0; j < 4; j++)
                pairs[row_tile][j] = code.pair(state_at(upper, lower, 2 * K * j));
        }
    }

private:
    static __device__ __forceinline__ uint32_t bits_from(const uint32_t (&words)[2], int shift)
    {
        return shift < 32 ? __funnelshift_r(words[0], words[1], shift) : words[1] >> (shift - 32);
    }

    uint32_t own[K];
};

// Plain layout: bit of the ring where the window of a lane begins in the upper or lower half of a tile, and the 32-bit
// words that hold a window of so many bits wherever it begins.
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

    static __device__ __forceinline__ int place(int column) { return column; }

    __device__ __forceinline__ void load(const uint16_t* codes, size_t unit, int lane)
    {
#pragma unroll
        for (int half = 0; half < 2; half++)
        {
            int first = window_bit(K, lane, half) / 32;
#pragma unroll
            for (int i = 0; i < WindowWords; i++)
            {
                int word = first + i < RingWords ? first + i : first + i - RingWords;
                windows[half][i] = reinterpret_cast<const uint32_t*>(codes)[word + unit * RingWords];
            }
        }
    }

    __device__ __forceinline__ void decode(uint32_t (&pairs)[Tiles][4], const Code& code, int, int lane) const
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
                    pairs[0][half + 2 * i] = code.pair(state_at(upper, lower, 2 * K * i));
                else
                    pairs[0][half + 2 * i] = code.pair(state_at(upper, lower, 2 * K * i),
                                                       state_at(upper, lower, 2 * K * i + K));
            }
        }
    }

private:
    static constexpr int RingWords = 8 * K;

    static constexpr int WindowWords = window_words(K, (4 - Code::Vector) * K + 16);

    uint32_t windows[2][WindowWords];
};
