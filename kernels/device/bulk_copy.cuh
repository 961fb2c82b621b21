// Bulk copies of compute capability 9.0: tiles of a matrix described by a tensor map, and the barriers in shared memory
// that count their bytes. GpuBackend makes the maps: 64 columns by the rows of a tile, 128-byte swizzle, which gives
// the panels of wgmma.cuh; elements outside the matrix arrive as zeros.
#pragma once
#include <cstdint>

// CUtensorMap of cuda.h, which device code only hands on: a __grid_constant__ parameter.
struct alignas(64) TensorMap
{
    uint64_t opaque[16];
};

// ---- Barriers: 8 bytes of shared memory at a multiple of 8. A phase ends when count threads have arrived and all
// expected bytes have come. Phases have parities 0, 1, 0, ...; waiting for the parity before the first returns at once.

__device__ __forceinline__ void barrier_init(uint32_t barrier, int count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}

// After barrier_init, before the block's barrier: copies may use the barriers.
__device__ __forceinline__ void barrier_init_done()
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void barrier_arrive(uint32_t barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Arrives, and has the phase wait for that many bytes more.
__device__ __forceinline__ void barrier_expect(uint32_t barrier, uint32_t bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

// Waits for the end of the phase of that parity.
__device__ __forceinline__ void barrier_wait(uint32_t barrier, int parity)
{
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@!done bra again;\n"
                 "}" ::"r"(barrier),
                 "r"(parity)
                 : "memory");
}

// Stages of shared memory that one side fills and the other frees, in turn; each side has its own copy. Two barriers a
// stage, 16 bytes.
template <int Stages> struct Ring
{
    uint32_t barriers;
    int stage = 0, parity = 0;

    __device__ __forceinline__ explicit Ring(uint32_t address) : barriers(address)
    {
    }

    // The address behind the barriers.
    __device__ __forceinline__ uint32_t end() const
    {
        return barriers + Stages * 16;
    }

    // One thread; the numbers of arrivals that fill and free a stage.
    __device__ __forceinline__ void init(int fillers, int users) const
    {
        for (int i = 0; i < Stages; i++)
        {
            barrier_init(barriers + i * 16, fillers);
            barrier_init(barriers + i * 16 + 8, users);
        }
    }

    // The barrier that ends with the stage filled, and that which ends with it free again.
    __device__ __forceinline__ uint32_t full() const
    {
        return barriers + stage * 16;
    }

    __device__ __forceinline__ uint32_t free() const
    {
        return barriers + stage * 16 + 8;
    }

    __device__ __forceinline__ void wait_full() const
    {
        barrier_wait(full(), parity);
    }

    // The first lap finds every stage free.
    __device__ __forceinline__ void wait_free() const
    {
        barrier_wait(free(), parity ^ 1);
    }

    __device__ __forceinline__ void advance()
    {
        if (++stage == Stages)
        {
            stage = 0;
            parity ^= 1;
        }
    }
};

// ---- Copies

// Starts copying the box of the map whose first element is (row, column); barrier counts its bytes.
__device__ __forceinline__ void copy_box(uint32_t destination, const TensorMap& map, int row, int column,
                                         uint32_t barrier)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], "
                 "[%4];" ::"r"(destination),
                 "l"(&map), "r"(column), "r"(row), "r"(barrier)
                 : "memory");
}

// Orders writes to shared memory by this thread before later reads of it by wgmma and bulk copies.
__device__ __forceinline__ void fence_async()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// ---- Barriers of some warps of a block: number 1 .. 15, threads in all, a multiple of 32.

__device__ __forceinline__ void group_sync(int number, int threads)
{
    asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(threads) : "memory");
}
