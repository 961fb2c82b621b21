// hadamard_columns: v <- (v * scale) U or v <- (v U^T) * scale, v the columns of a matrix; U = (H_order (x) H_2^p) / sqrt(size).
// For order 1, 12, 20, 28 and 36, where a tile of adjacent columns fits into the shared memory of a cluster; kernels/hadamard.cu does the
// rest. Memory is read and written once. The rows' index falls into bits, which are transformed in steps:
//   1. A thread has one row of each line in registers, the same place of all, and transforms them by H_order and the highest bits of 2^p.
//   2. It sends each row to the block of the cluster that writes it, the only exchange between blocks.
//   3. Where a line has more than one run: up to three bits, between the runs, in shared memory.
//   4. A thread has a run in registers, transforms it over the lowest bits, and writes it.
// Shapes    Any. scale (size) f32, or null for ones.
// Launch    grid (tiles << cluster_bits), clusters of 1 << cluster_bits that divide the lines, a line having as many rows at least, block
//           (ColumnThreads), dynamic shared memory: the runs of a block, `pitch` rows each. A row more than the run's, where the tile's
//           columns take less than 128 bytes, keeps the rows that a warp touches in different banks; it may be left out.
// Numerics  sums in the element type: order / 4 + 3 additions for an element, and p.
// Source    QuIP#, arXiv:2402.04396, section 3; step 1: the method of four Russians, Arlazarov et al. 1970.
#include "device/hadamard_columns.cuh"

// Blocks of f32 on a multiprocessor, at least, so that some load while others compute: one less in the image whose blocks share no tile, for
// which the compiler keeps more addresses.
#if __CUDA_ARCH__ >= 900
constexpr int SingleBlocks = 3;
#else
constexpr int SingleBlocks = 2;
#endif

// Bits: of step 1.
#define HADAMARD(NAME, ORDER, BITS, TRANSPOSED, T, BLOCKS)                                                             \
    extern "C" __global__ void __launch_bounds__(ColumnThreads, BLOCKS) hadamard_columns_##NAME(                       \
        const __grid_constant__ ColumnPass pass)                                                                       \
    {                                                                                                                  \
        hadamard_columns<ORDER, BITS, TRANSPOSED, T>(pass);                                                            \
    }

HADAMARD(1_f32, 1, 6, false, float, SingleBlocks)
HADAMARD(12_f32, 12, 3, false, float, SingleBlocks)
HADAMARD(12_transposed_f32, 12, 3, true, float, SingleBlocks)
HADAMARD(20_f32, 20, 2, false, float, SingleBlocks)
HADAMARD(20_transposed_f32, 20, 2, true, float, SingleBlocks)
HADAMARD(28_f32, 28, 2, false, float, SingleBlocks)
HADAMARD(36_f32, 36, 1, false, float, SingleBlocks)
HADAMARD(1_f64, 1, 6, false, double, 2)
HADAMARD(12_f64, 12, 2, false, double, 2)
HADAMARD(12_transposed_f64, 12, 2, true, double, 2)
HADAMARD(20_f64, 20, 1, false, double, 2)
HADAMARD(20_transposed_f64, 20, 1, true, double, 2)
HADAMARD(28_f64, 28, 1, false, double, 2)
HADAMARD(36_f64, 36, 0, false, double, 2)
