// Tiles of 16 x 16 weights as packed trellis codes: a ring of 256 K bits, most significant first, in which the 16-bit
// state of step t begins at bit t K V.
// Source  QTIP, arXiv:2406.11235; bit placement: Reference/TrellisPacking.cs.
#pragma once

#include "trellis_codes.cuh"
#include "types.cuh"

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

// Adjacent elements of a row <- so many pairs of codewords.
template <int Pairs, typename T>
__device__ __forceinline__ void store_pairs(T* target, const uint32_t* pairs, bool aligned)
{
    Pack<T, 2 * Pairs> pack;
#pragma unroll
    for (int i = 0; i < Pairs; i++)
    {
        float2 c = codeword(pairs[i]);
        pack.values[2 * i] = convert<T>(c.x);
        pack.values[2 * i + 1] = convert<T>(c.y);
    }
    if (aligned)
    {
        store_pack(target, pack);
        return;
    }
#pragma unroll
    for (int i = 0; i < 2 * Pairs; i++)
        target[i] = pack.values[i];
}

// A unit is what one warp decodes at once: a 2 x 2 group of tiles of the kernel layout, four tiles of a row of the
// plain layout. A step of it has 16 columns, and of each 16 rows the registers of an mma.m16n8k16's A: pair j of a lane
// stands for row(lane, j) and two adjacent columns. Columns are in an order of the layout's own, which place knows.
// Codes are aligned to 16 bytes. A row may end within a unit: what a lane loads beyond it is of the row's last tile.
template <typename Code, int K, bool KernelLayout> struct TrellisUnit;

template <typename Code, int K> struct TrellisUnit<Code, K, true>
{
    static_assert(Code::Vector == 2, "the kernel layout is HYB's");
    static constexpr int Rows = 32, Columns = 32, Tiles = Rows / 16, Steps = Columns / 16;
    static constexpr int Words = 64 * K;      // 16-bit words

    static __device__ __forceinline__ int row(int lane, int j) { return (lane >> 2) + 8 * (j & 1); }

    // Where an input for an even column of the unit lies in fragment order, the lanes' after each other.
    static __device__ __forceinline__ int place(int column)
    {
        return (column & ~31) + (column & 6) * 4 + (column & 24) / 4;
    }

    // Lane records of 4 K bytes: a K-byte little-endian integer, first bit most significant, for the tiles (0,0),
    // (1,0), (0,1), (1,1) as (row, column).
    __device__ __forceinline__ void load(const uint16_t* codes, int row, int column, int columns, int lane)
    {
        int unit = row * (columns / Columns) + min(column, columns / Columns - 1);
        const uint16_t* record = codes + lane * 2 * K + static_cast<size_t>(unit) * Words;
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

    // The pairs of a step; all lanes of the warp call it.
    __device__ __forceinline__ void decode(uint32_t (&pairs)[Tiles][4], const Code& code, int step, int lane) const
    {
        // The words with the records of the two tiles, and the next lane's.
        constexpr int Used = (K + 1) / 2;
        int first = step * K / 2;
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
                int shift = 8 * (6 * step + 3 * row_tile) - 32 * first;
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

    // corner <- the unit's weights; aligned: a lane's adjacent elements can be stored as one.
    template <typename T>
    __device__ __forceinline__ void store(T* corner, size_t stride, int, const Code& code, bool aligned, int lane) const
    {
#pragma unroll
        for (int step = 0; step < Steps; step++)
        {
            uint32_t pairs[Tiles][4];
            decode(pairs, code, step, lane);
#pragma unroll
            for (int i = 0; i < 4 * Tiles; i++)
            {
                int j = i % 4;
                T* target = corner + (16 * (i / 4) + row(lane, j)) * stride + 16 * step + (lane & 3) * 2 + 8 * (j >> 1);
                store_pairs<1>(target, &pairs[i / 4][j], aligned);
            }
        }
    }

private:
    static __device__ __forceinline__ uint32_t bits_from(const uint32_t (&words)[2], int shift)
    {
        return shift < 32 ? __funnelshift_r(words[0], words[1], shift) : words[1] >> (shift - 32);
    }

    uint32_t own[K];
};

// 16-bit words in the order of the ring, weights row-major. A lane has two adjacent rows of one tile: a window of 32 K
// bits that begins with a 32-bit word wherever the lane is, and what the last states need of the next word, which the
// lane with the next two rows has.
template <typename Code, int K> struct TrellisUnit<Code, K, false>
{
    static constexpr int Rows = 16, Columns = 64, Tiles = Rows / 16, Steps = Columns / 16;

    static __device__ __forceinline__ int row(int lane, int j) { return (lane >> 2) * 2 + (j & 1); }

    // Fragments of two steps lie together, so that lanes load 16 bytes of them without bank conflicts.
    static __device__ __forceinline__ int place(int column)
    {
        return (column & ~63) + (column & 8) * 4 + (column & 48) / 2 + (column & 7);
    }

    __device__ __forceinline__ void load(const uint16_t* codes, int row, int column, int columns, int lane)
    {
        constexpr int RingWords = 8 * K, LoadWords = K % 4 == 0 ? 4 : K % 2 == 0 ? 2 : 1;
        int tile = row * (columns / 16) + min(column * Steps + (lane & 3), columns / 16 - 1);
        const uint32_t* ring = reinterpret_cast<const uint32_t*>(codes) + static_cast<size_t>(tile) * RingWords;
#pragma unroll
        for (int i = 0; i < K; i += LoadWords)
        {
            Pack<uint32_t, LoadWords> pack = load_pack<LoadWords>(ring + (lane >> 2) * K + i);
#pragma unroll
            for (int j = 0; j < LoadWords; j++)
                words[i + j] = pack.values[j];
        }
    }

    // The pairs of a step; all lanes of the warp call it, the first step first.
    __device__ __forceinline__ void decode(uint32_t (&pairs)[Tiles][4], const Code& code, int step, int lane)
    {
        if (step == 0)
            words[K] = __shfl_sync(FullWarp, words[0], (lane + 4) % WarpSize);
#pragma unroll
        for (int j = 0; j < 4; j++)
            pairs[0][j] = pair(code, 16 * (j & 1) + 4 * step + 2 * (j >> 1));
    }

    // As that of the kernel layout, for so many columns.
    template <typename T>
    __device__ __forceinline__ void store(T* corner, size_t stride, int columns, const Code& code, bool aligned,
                                          int lane)
    {
        words[K] = __shfl_sync(FullWarp, words[0], (lane + 4) % WarpSize);
        if ((lane & 3) * 16 >= columns)
            return;
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            uint32_t pairs[4];
#pragma unroll
            for (int j = 0; j < 4; j++)
                pairs[j] = pair(code, 8 * i + 2 * j);
            store_pairs<4>(corner + row(lane, i / 2) * stride + (lane & 3) * 16 + i % 2 * 8, pairs, aligned);
        }
    }

private:
    // Weights i and i + 1 of the lane's.
    __device__ __forceinline__ uint32_t pair(const Code& code, int i) const
    {
        if constexpr (Code::Vector == 2)
            return code.pair(state(i * K));
        else
            return code.pair(state(i * K), state((i + 1) * K));
    }

    // The state that begins at a bit of the window. Those 8 bits apart share a shift and differ in the bytes they take.
    // The code with V = 2 takes states with other bits above their 16.
    __device__ __forceinline__ uint32_t state(int bit) const
    {
        // 32 bits from a multiple of 16 on; the halves of a word come in the other order.
        int word = bit / 32, offset = bit % 16;
        uint32_t from = bit % 32 < 16 ? __byte_perm(words[word], 0, 0x1032)
                                      : __byte_perm(words[word], words[word + 1], 0x3254);
        if (offset == 0 || Code::Vector == 2)
            return from >> (16 - offset);
        uint32_t shifted = from >> (offset <= 8 ? 8 - offset : 16 - offset);
        return __byte_perm(shifted, 0, offset <= 8 ? 0x4421 : 0x4410);
    }

    uint32_t words[K + 1];
};
