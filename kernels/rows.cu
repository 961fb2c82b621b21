// weigh_rows: y[t,c] = sqrt(max(0, sum_p a[t,p] b[t,p])) x[t,c], so that the Gram matrix of y is that of x with row
//             weights <a_t, b_t>.
// Shapes    a (rows, width) f32; b (rows, width) f32 or as x; x, y (rows, columns); row-major, rows a stride of
//           elements apart.
// Launch    grid (rows), block (256), any alignment.
// Numerics  the sum in f32, in an order that depends on width only; y rounded once to its type.
// Source    YAQA, Tseng et al., arXiv:2505.22988, section 3 (Sketch A)
#include "device/reduce.cuh"
#include "device/types.cuh"

constexpr int RowThreads = 256;

template <typename B, typename X>
__device__ __forceinline__ void weigh_rows(X* __restrict__ y, const float* __restrict__ a, const B* __restrict__ b,
                                           const X* __restrict__ x, size_t strideY, size_t strideA, size_t strideB,
                                           size_t strideX, int width, int columns)
{
    size_t t = blockIdx.x;
    float sum = 0;
    for (int p = threadIdx.x; p < width; p += RowThreads)
        sum += a[t * strideA + p] * convert<float>(b[t * strideB + p]);
    float weight = sqrtf(fmaxf(block_sum<RowThreads>(sum), 0));
    for (int c = threadIdx.x; c < columns; c += RowThreads)
        y[t * strideY + c] = convert<X>(weight * convert<float>(x[t * strideX + c]));
}

#define WEIGH_ROWS(SUFFIX, B, X)                                                                                       \
    extern "C" __global__ void __launch_bounds__(RowThreads)                                                           \
        weigh_rows_##SUFFIX(X* __restrict__ y, const float* __restrict__ a, const B* __restrict__ b,                   \
                            const X* __restrict__ x, size_t strideY, size_t strideA, size_t strideB, size_t strideX,   \
                            int width, int columns)                                                                    \
    {                                                                                                                  \
        weigh_rows(y, a, b, x, strideY, strideA, strideB, strideX, width, columns);                                    \
    }

WEIGH_ROWS(f32_f32, float, float)
WEIGH_ROWS(f32_bf16, float, bf16)
WEIGH_ROWS(bf16_bf16, bf16, bf16)
