// hadamard_columns: v <- (v * scale) U or v <- (v U^T) * scale, v the columns of a matrix; U = (H_order (x) H_2^p) / sqrt(size).
// For order 1, 12, 20, 28 and 36, where a tile of adjacent columns fits into the shared memory of a cluster; kernels/hadamard.cu does the
// rest. Memory is read and written once. The rows' index falls into bits, which are transformed in steps:
//   1. A thread has one row of each line in registers, the same place of all, and transforms them by H_order and the highest bits of 2^p.
//   2. It sends each row to the block of the cluster that writes it, the only exchange between blocks.
//   3. Where a line has more than one run: up to three bits, between the runs, in shared memory.
//   4. A thread has a run in registers, transforms it over the lowest bits, and writes it.
// Shapes    Any. scale (size) f32, or null for ones.
// Launch    grid (tiles << cluster_bits), clusters of 1 << cluster_bits that divide the lines, a line having as many rows at least, block
//           (128), or (256) for the kernels with 64 words, dynamic shared memory: the runs of a block, `pitch` rows each. A row more than
//           the run's, where the tile's columns take less than 128 bytes, keeps the rows that a warp touches in different banks; it may
//           be left out.
// Numerics  sums in the element type: order / 4 + 3 additions for an element, and p.
// Speed     percent of a copy on an H100, float32 (e2d3f30): 512 to 3072 rows 87 to 90, 4096 84, 8192 76, 12288 73, 14336 67, 28672 53.
// Source    QuIP#, arXiv:2402.04396, section 3; step 1: the method of four Russians, Arlazarov et al. 1970.
#include "device/hadamard_columns.cuh"

// Threads of the largest block, and blocks of it on a multiprocessor, at least, so that some load while others compute; that bounds the
// registers. With 128 words three blocks of 128 threads: two in the image whose blocks share no tile, for which the compiler keeps more
// addresses, and of f64. With 64 words two blocks of 256 threads with large tiles, or four of 128 with small ones.
constexpr int column_threads(int words) { return words == 64 ? 256 : 128; }
template <typename T> constexpr int column_blocks(int words)
{
#if __CUDA_ARCH__ >= 900
    return words == 64 || sizeof(T) == 8 ? 2 : 3;
#else
    return 2;
#endif
}

// Words: of a column, that a thread has. Orders 12 and 20 are faster with 64; 28 and 36 have few lines to share then.
#define HADAMARD(NAME, ORDER, WORDS, TRANSPOSED, T)                                                                    \
    extern "C" __global__ void __launch_bounds__(column_threads(WORDS), column_blocks<T>(WORDS))                       \
        hadamard_columns_##NAME(const __grid_constant__ ColumnPass pass)                                               \
    {                                                                                                                  \
        hadamard_columns<ORDER, WORDS, TRANSPOSED, T>(pass);                                                           \
    }

HADAMARD(1_f32, 1, 128, false, float)
HADAMARD(12_f32, 12, 64, false, float)
HADAMARD(12_transposed_f32, 12, 64, true, float)
HADAMARD(20_f32, 20, 64, false, float)
HADAMARD(20_transposed_f32, 20, 64, true, float)
HADAMARD(28_f32, 28, 128, false, float)
HADAMARD(36_f32, 36, 128, false, float)
HADAMARD(1_f64, 1, 128, false, double)
HADAMARD(12_f64, 12, 128, false, double)
HADAMARD(12_transposed_f64, 12, 128, true, double)
HADAMARD(20_f64, 20, 128, false, double)
HADAMARD(20_transposed_f64, 20, 128, true, double)
HADAMARD(28_f64, 28, 128, false, double)
HADAMARD(36_f64, 36, 128, false, double)
