// HYB trellis code: decode-and-multiply for few rows.
// Shapes    packed codes (tiles, 16 K) u16 without gaps, aligned to 16 bytes; x (tokens, columns), y (tokens, rows)
//           f32, row-major, strides in elements, rows of x aligned to 16 bytes.
// Launch    at TRELLIS_MATMUL.
// Numerics  x rounded to float16, sums in f32 in an order that does not depend on the number of tokens.
// Source    QTIP, arXiv:2406.11235.
#include "device/trellis_matmul.cuh"

TRELLIS_MATMUL_RATE(hyb, FewRowsHybridCode, 2, kernel, true)
TRELLIS_MATMUL_RATE(hyb, FewRowsHybridCode, 3, kernel, true)
TRELLIS_MATMUL_RATE(hyb, FewRowsHybridCode, 4, kernel, true)
TRELLIS_MATMUL_RATE(hyb, FewRowsHybridCode, 2, plain, false)
TRELLIS_MATMUL_RATE(hyb, FewRowsHybridCode, 3, plain, false)
TRELLIS_MATMUL_RATE(hyb, FewRowsHybridCode, 4, plain, false)
