// Warpgroup matrix instructions of compute capability 9.0 (image compute_90a only): 64 x N products of bf16 with f32
// sums, operands in shared memory or, the left one, in registers. A warpgroup is four warps, the first a multiple of 4.
//
// Sums, float d[N / 8][4]: warp w of the warpgroup holds rows 16 w to 16 w + 15, each as the d of mma.cuh: lane 4 g + t
// has in d[n] row g columns 8 n + 2 t, 8 n + 2 t + 1, then row g + 8. A left operand in registers, 64 x 16, is a[4] of
// mma.cuh in the same way.
//
// Operands in shared memory are panels: rows of 64 elements (128 bytes), 8 rows to 1024 bytes, which begin at a
// multiple of 1024; 16-byte chunk c of row r lies at c ^ (r mod 8). A copy by tensor map with 128-byte swizzle (see
// bulk_copy.cuh) makes one. The inner dimension of the product (k) runs
//   along the rows:   panel_along(address); its next 16 of k are 32 bytes on, to the end of the panel;
//   across the rows:  panel_across(address, bytes from a panel to the next): "transposed"; the next 16 of k are 16
//                     rows, 2048 bytes, on; M or N above 64 goes on in the next panel.
//
// Order: wgmma_begin over all sums and register operands, wgmma..., wgmma_commit, wgmma_wait<groups still pending> over
// the sums that are then read.
#pragma once
#include <cstdint>

// Elements of a row of a panel.
constexpr int PanelColumns = 64;
constexpr int PanelRowBytes = 128;

// The low word of an operand's descriptor, in units of 16 bytes: address, offset to the next panel. The high word is
// the same for all: 8 rows are 1024 bytes, 128-byte swizzle.
__device__ __forceinline__ uint32_t panel_across(uint32_t address, uint32_t panelBytes)
{
    return (panelBytes >> 4 << 16) | ((address & 0x3ffff) >> 4);
}

__device__ __forceinline__ uint32_t panel_along(uint32_t address)
{
    return panel_across(address, 16);
}

// The operand bytes further on.
__device__ __forceinline__ uint32_t advance(uint32_t operand, uint32_t bytes)
{
    return operand + (bytes >> 4);
}

// Keeps the compiler from moving reads and writes of sums over the instructions around.
template <int Tiles> __device__ __forceinline__ void pin(float (&d)[Tiles][4])
{
#pragma unroll
    for (int n = 0; n < Tiles; n++)
        asm volatile("" : "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3])::"memory");
}

template <int Steps> __device__ __forceinline__ void pin(uint32_t (&a)[Steps][4])
{
#pragma unroll
    for (int s = 0; s < Steps; s++)
        asm volatile("" : "+r"(a[s][0]), "+r"(a[s][1]), "+r"(a[s][2]), "+r"(a[s][3])::"memory");
}

// Before the first of a chain of wgmma: orders earlier accesses to their registers.
template <typename... Registers> __device__ __forceinline__ void wgmma_begin(Registers&... registers)
{
    (pin(registers), ...);
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

// Closes a group of wgmma.
__device__ __forceinline__ void wgmma_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Waits until at most Pending groups are unfinished; the registers are those of the finished ones.
template <int Pending, typename... Registers> __device__ __forceinline__ void wgmma_wait(Registers&... registers)
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
    (pin(registers), ...);
}

// wgmma(d, a, b, accumulate): d = a b, plus d where accumulate is not 0; a an operand in shared memory or registers.
// N is four times the registers of d: 64, 128 or 256.
#define SUM_4(d, n) "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3])
#define SUM_16(d, n) SUM_4(d, n), SUM_4(d, n + 1), SUM_4(d, n + 2), SUM_4(d, n + 3)
#define SUM_32(d, n) SUM_16(d, n), SUM_16(d, n + 4)
#define SUM_64(d, n) SUM_32(d, n), SUM_32(d, n + 8)
#define SUM_128(d, n) SUM_64(d, n), SUM_64(d, n + 16)

#define NAMES_0_31                                                                                                     \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                                           \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define NAMES_32_63                                                                                                    \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "                                 \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define NAMES_64_127                                                                                                   \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "                                 \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "                                 \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "                     \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

#define WGMMA_SHARED(N, SUMS, A, B, FLAG, TRANSPOSE)                                                                   \
    "{\n.reg .pred accumulate;\n.reg .b64 a, b;\n"                                                                     \
    "setp.ne.b32 accumulate, " FLAG ", 0;\nmov.b64 a, {" A ", 0x40000040};\nmov.b64 b, {" B ", 0x40000040};\n"         \
    "wgmma.mma_async.sync.aligned.m64n" N "k16.f32.bf16.bf16 {" SUMS "}, a, b, accumulate, 1, 1, " TRANSPOSE ";\n}"
#define WGMMA_REGISTERS(N, SUMS, A, B, FLAG, TRANSPOSE)                                                                \
    "{\n.reg .pred accumulate;\n.reg .b64 b;\n"                                                                        \
    "setp.ne.b32 accumulate, " FLAG ", 0;\nmov.b64 b, {" B ", 0x40000040};\n"                                          \
    "wgmma.mma_async.sync.aligned.m64n" N "k16.f32.bf16.bf16 {" SUMS "}, {" A "}, b, accumulate, 1, 1, " TRANSPOSE     \
    ";\n}"

template <bool TransposeA = false, bool TransposeB = false>
__device__ __forceinline__ void wgmma(float (&d)[8][4], uint32_t a, uint32_t b, int accumulate)
{
    asm volatile(WGMMA_SHARED("64", NAMES_0_31, "%32", "%33", "%34", "%35, %36")
                 : SUM_32(d, 0)
                 : "r"(a), "r"(b), "r"(accumulate), "n"(TransposeA), "n"(TransposeB));
}

template <bool TransposeA = false, bool TransposeB = false>
__device__ __forceinline__ void wgmma(float (&d)[16][4], uint32_t a, uint32_t b, int accumulate)
{
    asm volatile(WGMMA_SHARED("128", NAMES_0_31 ", " NAMES_32_63, "%64", "%65", "%66", "%67, %68")
                 : SUM_64(d, 0)
                 : "r"(a), "r"(b), "r"(accumulate), "n"(TransposeA), "n"(TransposeB));
}

template <bool TransposeA = false, bool TransposeB = false>
__device__ __forceinline__ void wgmma(float (&d)[32][4], uint32_t a, uint32_t b, int accumulate)
{
    asm volatile(
        WGMMA_SHARED("256", NAMES_0_31 ", " NAMES_32_63 ", " NAMES_64_127, "%128", "%129", "%130", "%131, %132")
        : SUM_128(d, 0)
        : "r"(a), "r"(b), "r"(accumulate), "n"(TransposeA), "n"(TransposeB));
}

template <bool TransposeB = false>
__device__ __forceinline__ void wgmma(float (&d)[8][4], const uint32_t (&a)[4], uint32_t b, int accumulate)
{
    asm volatile(WGMMA_REGISTERS("64", NAMES_0_31, "%32, %33, %34, %35", "%36", "%37", "%38")
                 : SUM_32(d, 0)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "r"(accumulate), "n"(TransposeB));
}

template <bool TransposeB = false>
__device__ __forceinline__ void wgmma(float (&d)[16][4], const uint32_t (&a)[4], uint32_t b, int accumulate)
{
    asm volatile(WGMMA_REGISTERS("128", NAMES_0_31 ", " NAMES_32_63, "%64, %65, %66, %67", "%68", "%69", "%70")
                 : SUM_64(d, 0)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "r"(accumulate), "n"(TransposeB));
}

#undef SUM_4
#undef SUM_16
#undef SUM_32
#undef SUM_64
#undef SUM_128
#undef NAMES_0_31
#undef NAMES_32_63
#undef NAMES_64_127
#undef WGMMA_SHARED
#undef WGMMA_REGISTERS

// Moves registers between the warpgroups of a block; every warp of the warpgroup calls it.
template <int Registers> __device__ __forceinline__ void raise_registers()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}

template <int Registers> __device__ __forceinline__ void lower_registers()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}
