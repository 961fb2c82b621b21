// hadamard_unrolled: v <- (v * scale) U or v <- (v U^T) * scale, v the rows or columns of a matrix; U = (H_order (x) H_2^p) / sqrt(size).
// For order 1, 12, 20, 28 and 36 where a tile fits into shared memory, a row into that of a block, columns side by side into that of a cluster.
// kernels/hadamard.cu does the rest. One pass over memory, in steps that leave the bits of an element's index one after the other:
//   1. A thread has elements equally far apart, one of each line, in registers, and transforms them by H_order and the highest bits of 2^p.
//   2. Rounds in shared memory of up to three bits each, in chunks of 16 bytes; along rows the first does the bits within a chunk, too.
//   3. The last round writes chunks to memory. A cluster's blocks share out the bits below those of step 1, and read each other's memory here.
// Shapes    x at any strides, of multiples of 16 bytes, as its address; scale (size) f32, 16-byte aligned, or null for ones.
// Launch    grid (tiles << cluster_bits), clusters of 1 << cluster_bits, block (a multiple of 32, <= 256), dynamic shared memory: the lines of a
//           tile's vectors (rows) or one vector's (columns), `pitch` chunks each.
// Numerics  sums in the element type, order / 4 + 3 for an element.
// Source    QuIP#, arXiv:2402.04396, section 3; the four sums of step 1: Arlazarov et al., "four Russians", 1970.
#include "device/hadamard_unrolled.cuh"

// Bits: of step 1. Blocks: at least so many on a multiprocessor, so that some load while others compute.
#define HADAMARD(NAME, ORDER, BITS, TRANSPOSED, T, BLOCKS)                                                             \
    extern "C" __global__ void __launch_bounds__(UnrolledThreads, BLOCKS) hadamard_##NAME(                             \
        const __grid_constant__ UnrolledPass pass)                                                                     \
    {                                                                                                                  \
        hadamard_unrolled<ORDER, BITS, TRANSPOSED, T>(pass);                                                           \
    }

HADAMARD(1_f32, 1, 5, false, float, 3)
HADAMARD(12_f32, 12, 1, false, float, 3)
HADAMARD(12_transposed_f32, 12, 1, true, float, 3)
HADAMARD(20_f32, 20, 0, false, float, 3)
HADAMARD(20_transposed_f32, 20, 0, true, float, 3)
HADAMARD(28_f32, 28, 0, false, float, 3)
HADAMARD(36_f32, 36, 0, false, float, 3)
HADAMARD(1_f64, 1, 4, false, double, 2)
HADAMARD(12_f64, 12, 0, false, double, 2)
HADAMARD(12_transposed_f64, 12, 0, true, double, 2)
HADAMARD(20_f64, 20, 0, false, double, 2)
HADAMARD(20_transposed_f64, 20, 0, true, double, 2)
HADAMARD(28_f64, 28, 0, false, double, 2)
HADAMARD(36_f64, 36, 0, false, double, 1)
