// Products of bf16 matrices with f32 sums on compute capability 9.0, 256 x 256 at a time: a cluster of two blocks, each
// with 128 rows of the left operand of its own and a half of the right one, which it copies to both.
//
// A block is three warpgroups: one thread of the first starts the copies into a ring of stages, the other two, the
// workers, multiply 64 rows each by all 256 columns. A stage is 128 x 64 of the left operand and 256 x 64 of the right
// one, 64 of the inner dimension, as panels of wgmma.cuh: along it, or across it.
//
// Barriers between blocks need no wider scope than the block's: what they order are bulk copies and products, which are
// done when they are signalled; a release to the cluster would wait for all earlier memory accesses of the device.
#pragma once
#include "device/cluster_copy.cuh"
#include "device/wgmma.cuh"

constexpr int ClusterBlocks = 2;
constexpr int TileRows = 128, TileColumns = 256, TileDepth = 64;
constexpr int ClusterRows = ClusterBlocks * TileRows;
constexpr int Stages = 4;
constexpr int Workers = 2;
constexpr int WarpgroupThreads = 128;
constexpr int GemmThreads = (1 + Workers) * WarpgroupThreads;
constexpr int PanelRows = 64;
constexpr uint32_t PanelBytes = PanelRows * PanelRowBytes;
constexpr uint32_t LeftBytes = TileRows * PanelRowBytes, RightBytes = TileColumns * PanelRowBytes;
constexpr uint32_t StageBytes = LeftBytes + RightBytes;
constexpr int Pieces = TileColumns / PanelColumns;
constexpr int SumTiles = TileColumns / 8;
constexpr int ProducerRegisters = 40, WorkerRegisters = 232;

// Dynamic shared memory: stages and what the kernel adds at multiples of 1024, then barriers, and room to align.
constexpr uint32_t StagesBytes = Stages * StageBytes;

// One side's place in the stages.
struct TileRing : Ring<Stages>
{
    uint32_t stages;

    __device__ __forceinline__ TileRing(uint32_t stages, uint32_t barriers) : Ring<Stages>(barriers), stages(stages)
    {
    }

    __device__ __forceinline__ uint32_t left() const
    {
        return stages + stage * StageBytes;
    }

    __device__ __forceinline__ uint32_t right() const
    {
        return left() + LeftBytes;
    }

    // Gives the stage before this one, or this one, back to both blocks' producers.
    __device__ __forceinline__ void release(int back) const
    {
        int which = (stage + Stages - back) % Stages, thread = threadIdx.x % WarpgroupThreads;
        if (thread < ClusterBlocks)
            barrier_arrive_at(barriers + which * 16 + 8, thread);
    }
};

// Called by all threads of the cluster.
__device__ __forceinline__ TileRing open_ring(uint32_t stages, uint32_t barriers)
{
    TileRing ring(stages, barriers);
    if (threadIdx.x == 0)
    {
        ring.init(1, ClusterBlocks * Workers);
        barrier_init_done();
    }
    cluster_sync();
    return ring;
}

// Waits for a free stage and starts its copies: 128 rows of the left operand from `row`, the block's half of 256 of the
// right one from `column`, to both blocks; 64 of depth from `depth`. A map along has its coordinates as (depth, group,
// outer), one across as (outer, group, depth).
template <bool LeftAcross, bool RightAcross>
__device__ __forceinline__ void fill_stage(TileRing& ring, const TensorMap& left, const TensorMap& right, int row,
                                           int leftGroup, int column, int rightGroup, int depth, int rank)
{
    constexpr uint16_t Both = (1 << ClusterBlocks) - 1;
    constexpr int LeftPanels = TileRows / PanelRows, RightPanels = TileColumns / PanelRows / ClusterBlocks;
    ring.wait_free();
    barrier_expect(ring.full(), StageBytes);
#pragma unroll
    for (int i = 0; i < LeftPanels; i++)
    {
        int outer = row + i * PanelRows;
        uint32_t to = ring.left() + i * PanelBytes;
        if constexpr (LeftAcross)
            copy_box(to, left, outer, leftGroup, depth, ring.full());
        else
            copy_box(to, left, depth, leftGroup, outer, ring.full());
    }
#pragma unroll
    for (int i = 0; i < RightPanels; i++)
    {
        int panel = rank * RightPanels + i, outer = column + panel * PanelRows;
        uint32_t to = ring.right() + panel * PanelBytes;
        if constexpr (RightAcross)
            copy_box_to_all(to, right, outer, rightGroup, depth, ring.full(), Both);
        else
            copy_box_to_all(to, right, depth, rightGroup, outer, ring.full(), Both);
    }
    ring.advance();
}

// Waits for the stage and starts the product of the worker's 64 rows with all columns.
template <bool LeftAcross, bool RightAcross, bool Accumulate>
__device__ __forceinline__ void multiply_stage(float (&sums)[SumTiles][4], const TileRing& ring, int worker)
{
    constexpr uint32_t LeftStep = LeftAcross ? 16 * PanelRowBytes : 32, RightStep = RightAcross ? 16 * PanelRowBytes : 32;
    ring.wait_full();
    uint32_t left = ring.left() + worker * PanelBytes, right = ring.right();
    left = LeftAcross ? panel_across(left, PanelBytes) : panel_along(left);
    right = RightAcross ? panel_across(right, PanelBytes) : panel_along(right);
    wgmma_begin();
#pragma unroll
    for (int i = 0; i < TileDepth / 16; i++)
        wgmma<LeftAcross, RightAcross>(sums, advance(left, i * LeftStep), advance(right, i * RightStep), Accumulate || i > 0);
    wgmma_commit();
}

// sums = that product over `depth` > 0 stages; stages beyond, up to `all`, go by unused.
template <bool LeftAcross, bool RightAcross>
__device__ __forceinline__ void multiply(float (&sums)[SumTiles][4], TileRing& ring, int worker, int depth, int all)
{
    multiply_stage<LeftAcross, RightAcross, false>(sums, ring, worker);
    ring.advance();
    for (int k = 1; k < depth; k++)
    {
        multiply_stage<LeftAcross, RightAcross, true>(sums, ring, worker);
        wgmma_wait<1>();
        ring.release(1);
        ring.advance();
    }
    wgmma_wait<0>(sums);
    ring.release(1);
    for (int k = depth; k < all; k++)
    {
        ring.wait_full();
        ring.release(0);
        ring.advance();
    }
}
