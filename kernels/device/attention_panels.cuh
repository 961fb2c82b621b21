// Tiles of bf16 heads as panels of wgmma.cuh, for the attention kernels on warpgroups: a tile of Rows rows of a head is
// Dimension / 64 panels, each Rows rows long. A block is a warpgroup whose first warp copies and two that multiply.
#pragma once
#include "attention_tiles.cuh"
#include "bulk_copy.cuh"
#include "wgmma.cuh"

constexpr int WarpgroupThreads = 128;
constexpr int PanelThreads = 3 * WarpgroupThreads;
constexpr int ConsumerWarps = 8;
constexpr int WarpgroupRows = 64;

// Registers of a thread: PanelThreads times 168 shared out anew.
constexpr int ProducerRegisters = 24;
constexpr int ConsumerRegisters = 240;

// Rows of the boxes of a tensor map.
constexpr int BoxRows = 64;

template <int Dimension, int Rows> constexpr int TileBytes = Rows* Dimension * 2;

// A warp arrives once.
__device__ __forceinline__ void release(uint32_t barrier)
{
    __syncwarp();
    if (threadIdx.x % 32 == 0)
        barrier_arrive(barrier);
}

// A warp writes zeros to the rows of a tile from firstRow on.
template <int Dimension, int Rows> __device__ __forceinline__ void clear_rows(uint32_t tile, int firstRow)
{
    const int lane = threadIdx.x % 32;
    for (int row = firstRow + lane / 8; row < Rows; row += 4)
#pragma unroll
        for (int panel = 0; panel < Dimension / PanelColumns; panel++)
            store_shared_16(tile + (panel * Rows + row) * PanelRowBytes + lane % 8 * 16, make_uint4(0, 0, 0, 0));
}

// A warp copies Rows rows of a head to a tile and arrives once at full, which ends when they are there. Rows from
// validRows on become zeros: behind a sequence may lie anything, and 0 times that need not be 0. landed is a stage that
// only this warp uses, filled by one arrival.
template <int Dimension, int Rows>
__device__ __forceinline__ void copy_tile(uint32_t tile, const TensorMap& map, int row, int column, int validRows,
                                          uint32_t full, Ring<1>& landed)
{
    const uint32_t barrier = validRows >= Rows ? full : landed.full();
    if (threadIdx.x % 32 == 0)
    {
        barrier_expect(barrier, TileBytes<Dimension, Rows>);
#pragma unroll
        for (int panel = 0; panel < Dimension / PanelColumns; panel++)
#pragma unroll
            for (int first = 0; first < Rows; first += BoxRows)
                copy_box(tile + (panel * Rows + first) * PanelRowBytes, map, row + first, column + panel * PanelColumns,
                         barrier);
    }
    if (validRows < Rows)
    {
        landed.wait_full();
        landed.advance();
        clear_rows<Dimension, Rows>(tile, validRows);
        fence_async();
        release(full);
    }
}

// The item of this block in a round: rounds alternate in direction, so that long ones come together with short ones.
__device__ __forceinline__ int round_item(int round)
{
    const int place = round % 2 == 0 ? blockIdx.x : gridDim.x - 1 - blockIdx.x;
    return round * gridDim.x + place;
}

// sums = left right^T over the head, both tiles of rows, added to sums with Add; 64 rows of left from row on.
template <int Dimension, int LeftRows, int RightRows, bool Add = false>
__device__ __forceinline__ void multiply_rows(float (&sums)[RightRows / 8][4], uint32_t left, int row, uint32_t right)
{
    const uint32_t a = panel_along(left + row * PanelRowBytes), b = panel_along(right);
#pragma unroll
    for (int s = 0; s < Dimension / 16; s++)
    {
        const int panel = s / 4, inner = s % 4 * 32;
        wgmma(sums, advance(a, panel * LeftRows * PanelRowBytes + inner),
              advance(b, panel * RightRows * PanelRowBytes + inner), Add || s > 0);
    }
    wgmma_commit();
}

// sums += weights tile: (64, Rows) in registers by Rows rows of a head.
template <int Dimension, int Rows>
__device__ __forceinline__ void add_weighted_rows(float (&sums)[Dimension / 8][4],
                                                  const uint32_t (&weights)[Rows / 16][4], uint32_t tile)
{
    const uint32_t b = panel_across(tile, Rows * PanelRowBytes);
#pragma unroll
    for (int s = 0; s < Rows / 16; s++)
        wgmma<true>(sums, weights[s], advance(b, s * 16 * PanelRowBytes), 1);
    wgmma_commit();
}
