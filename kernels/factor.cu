// Inverse of a Cholesky factor: W = L^-1 of a symmetric positive definite H = L L^T, a block at a time; the products
// between the blocks are cuBLAS's (GpuBackend.Factor.cs).
#include "device/reduce.cuh"
#include <cstddef>

constexpr int RootThreads = 256;
constexpr int RootGrid = 16;                      // threads in a row and in a column
constexpr int RootShare = 8;                      // elements of a thread in a row and in a column
constexpr int RootOrder = RootGrid * RootShare;   // largest block

// 1/x to a rounding or two: 23 bits from the table of the device, doubled twice. NaN and infinite where x is 0 or not
// finite, as pivots are then found out.
__device__ __forceinline__ double reciprocal(double x)
{
    double y;
    asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(y) : "d"(x));
    y = fma(fma(-x, y, 1.0), y, y);
    return fma(fma(-x, y, 1.0), y, y);
}

// inverse_root: replaces H (n, n), n <= RootOrder, lower triangle read, by W; above the diagonal it becomes 0.
// Launch    grid (matrices, step elements apart), block (RootThreads). offset: of the block in the whole matrix.
//           logDeterminants, failures: one for each matrix, of all blocks so far, anew where offset is 0; a failure is the
//           1-based index of the first pivot that is not positive and finite, or 0.
// Method    rows of (H | I) are eliminated from the top. After step k, element (i, j), i > k, is of the rest of H where
//           j > k and of the inverse where j <= k, so one triangle in registers holds both: with u = column k, p = its
//           pivot and v = u^T right of k, row k left of it:  e_ij = e_ij - u_i v_j / p;  at j = k: e_ij = -u_i / p.
//           In the end row k of the inverse is divided by sqrt(p). Thread (r, c) owns rows r + 16 a, columns c + 16 b.
extern "C" __global__ void __launch_bounds__(RootThreads, 1)
    inverse_root_f64(double* __restrict__ h, size_t step, size_t stride, int n, int offset,
                     double* __restrict__ logDeterminants, int* __restrict__ failures)
{
    h += blockIdx.x * step;
    __shared__ double us[2][RootOrder], vs[2][RootOrder], pivots[RootOrder];
    int r = threadIdx.x / RootGrid, c = threadIdx.x % RootGrid;
    double e[RootShare][RootShare];
#pragma unroll
    for (int a = 0; a < RootShare; a++)
    {
#pragma unroll
        for (int b = 0; b <= a; b++)
        {
            int i = r + RootGrid * a, j = c + RootGrid * b;
            e[a][b] = i < n && j <= i ? h[i * stride + j] : 0.0;
        }
    }
#pragma unroll
    for (int kb = 0; kb < RootShare; kb++)
    {
        for (int kr = 0; kr < RootGrid && RootGrid * kb + kr < n; kr++)
        {
            int k = RootGrid * kb + kr;
            double* u = us[kr & 1];
            double* v = vs[kr & 1];
            if (c == kr)
            {
#pragma unroll
                for (int a = kb; a < RootShare; a++)
                {
                    u[r + RootGrid * a] = e[a][kb];
                    e[a][kb] = a == kb && r <= kr ? e[a][kb] : 0.0;   // what the update below adds to: see j = k above
                }
            }
            if (r == kr)
            {
#pragma unroll
                for (int b = 0; b <= kb; b++)
                    v[c + RootGrid * b] = e[kb][b];
            }
            __syncthreads();
            double pivot = u[k], inverse = reciprocal(pivot), column[RootShare];   // v_j / p, 1/p at j = k
            if (threadIdx.x == 0)
                pivots[k] = pivot;
#pragma unroll
            for (int b = 0; b < RootShare; b++)
            {
                int j = c + RootGrid * b;
                double value = b < kb || (b == kb && c < kr) ? v[j] : u[j];
                column[b] = (b == kb && c == kr ? 1.0 : value) * inverse;
            }
#pragma unroll
            for (int a = kb; a < RootShare; a++)
            {
                double row = a > kb || r > kr ? -u[r + RootGrid * a] : 0.0;
#pragma unroll
                for (int b = 0; b <= a; b++)
                    e[a][b] = fma(row, column[b], e[a][b]);
            }
            if (r == kr && c == kr)
                e[kb][kb] = 1.0;
        }
    }
    __syncthreads();
#pragma unroll
    for (int a = 0; a < RootShare; a++)
    {
        int i = r + RootGrid * a;
        double scale = i < n ? rsqrt(pivots[i]) : 0.0;
#pragma unroll
        for (int b = 0; b < RootShare; b++)
        {
            int j = c + RootGrid * b;
            if (i < n && j < n)
                h[i * stride + j] = j <= i ? e[a][min(a, b)] * scale : 0.0;
        }
    }
    double logarithm = 0;
    int first = n;
    for (int k = threadIdx.x; k < n; k += RootThreads)
    {
        logarithm += log(pivots[k]);
        if (!(pivots[k] > 0 && isfinite(pivots[k])))
            first = k;
    }
    logarithm = block_sum<RootThreads>(logarithm);
    first = __syncthreads_and(first == n) ? n : -__reduce_max_sync(FullWarp, -first);
    __shared__ int lowest[RootThreads / WarpSize];
    if (threadIdx.x % WarpSize == 0)
        lowest[threadIdx.x / WarpSize] = first;
    __syncthreads();
    if (threadIdx.x == 0)
    {
        for (int warp = 1; warp < RootThreads / WarpSize; warp++)
            first = min(first, lowest[warp]);
        int failed = first < n ? offset + first + 1 : 0;
        double before = offset == 0 ? 0.0 : logDeterminants[blockIdx.x];
        int earlier = offset == 0 ? 0 : failures[blockIdx.x];
        logDeterminants[blockIdx.x] = before + logarithm;
        failures[blockIdx.x] = earlier != 0 ? earlier : failed;
    }
}
