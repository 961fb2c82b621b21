// Tiles of bf16 heads in shared memory, for the tensor-core attention kernels. A row of a tile has Dimension / 8 chunks
// of 16 bytes; chunk c of row r lies at c ^ (r mod 8), so that the rows of an 8x8 matrix lie in different banks.
#pragma once
#include "attention_work.cuh"
#include "mma.cuh"
#include "types.cuh"

constexpr float Log2E = 1.44269504088896341f;

// The factor of the scores, 1 / sqrt(Dimension).
template <int Dimension> constexpr float ScoreScale = Dimension == 64 ? 0.125f : 0.0883883476483184406f;

template <int Dimension> __device__ __forceinline__ uint32_t tile_offset(int row, int chunk)
{
    return row * Dimension * 2 + ((chunk ^ (row & 7)) << 4);
}

// Starts copying Rows rows of a head to a tile; rows from validRows on become zeros.
template <int Dimension, int Rows, int Threads>
__device__ __forceinline__ void load_tile(uint32_t tile, const bf16* __restrict__ source, size_t stride, int validRows)
{
    constexpr int Chunks = Dimension / 8, Pass = Threads / Chunks;
    static_assert(Pass % 8 == 0 && Rows % Pass == 0, "every pass has the same swizzle");
    const int row = threadIdx.x / Chunks, chunk = threadIdx.x % Chunks;
    const uint32_t destination = tile + tile_offset<Dimension>(row, chunk);
    const bf16* from = source + row * stride + chunk * 8;
#pragma unroll
    for (int first = 0; first < Rows; first += Pass)
    {
        copy_16_async(destination + first * Dimension * 2, from, first + row < validRows);
        from += Pass * stride;
    }
}

// Writes a warp's 16 rows from row on as they lie in its accumulators, times factor (rows g) and lowerFactor (rows g +
// 8), through rows of a tile that only this warp still uses, to 16-byte pieces of global memory.
template <int Dimension>
__device__ __forceinline__ void store_rows(uint32_t tile, int row, const float (&sums)[Dimension / 8][4], float factor,
                                           float lowerFactor, bf16* __restrict__ destination, size_t stride,
                                           int validRows)
{
    constexpr int Chunks = Dimension / 8;
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    __syncwarp();
#pragma unroll
    for (int n = 0; n < Chunks; n++)
    {
        const uint32_t upper = tile + tile_offset<Dimension>(row + g, n) + t * 4;
        store_shared(upper, pack_bf16(sums[n][0] * factor, sums[n][1] * factor));
        store_shared(upper + 8 * Dimension * 2, pack_bf16(sums[n][2] * lowerFactor, sums[n][3] * lowerFactor));
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 16 * Chunks / 32; i++)
    {
        const int r = row + (i * 32 + lane) / Chunks, chunk = lane % Chunks;
        const uint4 piece = load_shared_16(tile + tile_offset<Dimension>(r, chunk));
        if (r < validRows)
            *reinterpret_cast<uint4*>(destination + r * stride + chunk * 8) = piece;
    }
}
