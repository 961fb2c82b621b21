// hadamard_rows: v <- (v * scale) U or v <- (v U^T) * scale, v the rows of a matrix; U = (H_order (x) H_2^p) / sqrt(size).
// For order 1, 12, 20, 28 and 36, where a row fits into the shared memory of a block; kernels/hadamard.cu does the rest. Memory is read and
// written once. An index in a row falls into bits, which are transformed in steps:
//   1. A thread has one element of each line in registers, the same place of all, and transforms them by H_order and the highest bits of 2^p.
//   2. Rounds in shared memory of up to three bits each, in chunks of 16 bytes; the first does the bits within a chunk, too.
//   3. The last round writes chunks to memory.
// Shapes    A line of a chunk at least. x and its rows begin at multiples of 16 bytes, as scale (size) f32, or null for ones.
// Launch    grid (tiles), block (a multiple of 32, <= RowThreads), dynamic shared memory: the lines of a tile's vectors, `pitch` chunks each.
// Numerics  sums in the element type: order / 4 + 3 additions for an element, and p.
// Source    QuIP#, arXiv:2402.04396, section 3; step 1: the method of four Russians, Arlazarov et al. 1970.
#include "device/hadamard_rows.cuh"

// Bits: of step 1. Blocks: at least so many on a multiprocessor, so that some load while others compute.
#define HADAMARD(NAME, ORDER, BITS, TRANSPOSED, T, BLOCKS)                                                             \
    extern "C" __global__ void __launch_bounds__(RowThreads, BLOCKS) hadamard_rows_##NAME(                             \
        const __grid_constant__ RowPass pass)                                                                          \
    {                                                                                                                  \
        hadamard_rows<ORDER, BITS, TRANSPOSED, T>(pass);                                                               \
    }

HADAMARD(1_f32, 1, 5, false, float, 3)
HADAMARD(12_f32, 12, 1, false, float, 3)
HADAMARD(12_transposed_f32, 12, 1, true, float, 3)
HADAMARD(20_f32, 20, 1, false, float, 2)
HADAMARD(20_transposed_f32, 20, 1, true, float, 2)
HADAMARD(28_f32, 28, 0, false, float, 3)
HADAMARD(36_f32, 36, 0, false, float, 2)
HADAMARD(1_f64, 1, 4, false, double, 2)
HADAMARD(12_f64, 12, 0, false, double, 2)
HADAMARD(12_transposed_f64, 12, 0, true, double, 2)
HADAMARD(20_f64, 20, 0, false, double, 2)
HADAMARD(20_transposed_f64, 20, 0, true, double, 2)
HADAMARD(28_f64, 28, 0, false, double, 2)
HADAMARD(36_f64, 36, 0, false, double, 1)
