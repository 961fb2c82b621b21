// hadamard_rows: y <- (x * scale) U or y <- (x U^T) * scale, rows of matrices; U = (H_order (x) H_2^p) / sqrt(size).
// For order 1, 12, 20, 28 and 36, where a row fits into the shared memory of a block; kernels/hadamard.cu does the rest. Memory is read and
// written once. An index in a row falls into bits, which are transformed in steps:
//   1. A thread has one element of each line in registers, the same place of all, and transforms them by H_order and the highest bits of 2^p.
//   2. Rounds in shared memory of up to three bits each, in chunks of 16 bytes; the first does the bits within a chunk, too.
//   3. The last round writes chunks to memory.
// Shapes    A line of a chunk at least. y and its rows begin at multiples of 16 bytes, as scale (size) f32, or null for ones; x is y, or
//           apart from it. Kernels named by two types read x of the first and write y of the second.
// Launch    grid (tiles), block (a multiple of 32, <= RowThreads), dynamic shared memory: the lines of a tile's vectors, `pitch` chunks each.
// Numerics  sums in float32, or float64 as x and y, rounded once to y: order / 4 + 3 additions for an element, and p.
// Source    QuIP#, arXiv:2402.04396, section 3; step 1: the method of four Russians, Arlazarov et al. 1970.
#include "device/hadamard_rows.cuh"

// Bits: of step 1. Blocks: at least so many on a multiprocessor, so that some load while others compute.
#define HADAMARD(NAME, ORDER, BITS, TRANSPOSED, In, T, Out, BLOCKS)                                                    \
    extern "C" __global__ void __launch_bounds__(RowThreads, BLOCKS) hadamard_rows_##NAME(                             \
        const __grid_constant__ RowPass pass)                                                                          \
    {                                                                                                                  \
        hadamard_rows<ORDER, BITS, TRANSPOSED, In, T, Out>(pass);                                                      \
    }

#define HADAMARD_F32(NAME, ORDER, BITS, TRANSPOSED, BLOCKS)                                                            \
    HADAMARD(NAME##_f32, ORDER, BITS, TRANSPOSED, float, float, float, BLOCKS)                                         \
    HADAMARD(NAME##_bf16_f32, ORDER, BITS, TRANSPOSED, bf16, float, float, BLOCKS)                                     \
    HADAMARD(NAME##_f32_bf16, ORDER, BITS, TRANSPOSED, float, float, bf16, BLOCKS)

#define HADAMARD_F64(NAME, ORDER, BITS, TRANSPOSED, BLOCKS)                                                            \
    HADAMARD(NAME##_f64, ORDER, BITS, TRANSPOSED, double, double, double, BLOCKS)

HADAMARD_F32(1, 1, 5, false, 3)
HADAMARD_F32(12, 12, 1, false, 3)
HADAMARD_F32(12_transposed, 12, 1, true, 3)
HADAMARD_F32(20, 20, 1, false, 2)
HADAMARD_F32(20_transposed, 20, 1, true, 2)
HADAMARD_F32(28, 28, 0, false, 3)
HADAMARD_F32(36, 36, 0, false, 2)
HADAMARD_F64(1, 1, 4, false, 2)
HADAMARD_F64(12, 12, 0, false, 2)
HADAMARD_F64(12_transposed, 12, 0, true, 2)
HADAMARD_F64(20, 20, 0, false, 2)
HADAMARD_F64(20_transposed, 20, 0, true, 2)
HADAMARD_F64(28, 28, 0, false, 2)
HADAMARD_F64(36, 36, 0, false, 1)
