// Orthogonalisation of a long vector against a basis: classical Gram-Schmidt, twice, in three sweeps over the basis.
// A sweep takes y = x - sum_i c_i q_i and from the same reading of the q_i the products <q_i, y> that the next one
// subtracts; the last takes <y, y> instead.
// Numerics  y in the type of x, one rounding for each q_i; products summed in f64, in an order that only sizes decide.
// Source    B. Parlett, "The Symmetric Eigenvalue Problem" (1980), section 6.9: twice is enough.
#include "device/reduce.cuh"
#include "device/types.cuh"
#include <cstddef>

constexpr int SweepThreads = 256;

// A basis of vectors that lie anywhere, as many as a launch takes.
constexpr int BasisLimit = 34;
struct Basis
{
    const void* vectors[BasisLimit];
};

// coefficients (count) f64: c_i, or null for y = x. products f64: where projects, (count, blocks), block b's part of
// <q_i, y>; else (1, blocks), its part of <y, y>. Launch: grid (blocks), block (SweepThreads); length in elements, a
// multiple of Size, as are the addresses. Count: most vectors, which the registers hold.
template <typename T, int Size, int Count>
__device__ __forceinline__ void sweep(T* x, const Basis& basis, const double* coefficients, double* products,
                                      size_t length, int count, int projects)
{
    using Piece = Pack<T, Size>;
    __shared__ T c[Count];
    for (int i = threadIdx.x; i < Count; i += SweepThreads)
        c[i] = coefficients != nullptr && i < count ? static_cast<T>(-coefficients[i]) : T(0);
    __syncthreads();
    double sums[Count], square = 0;
#pragma unroll
    for (int i = 0; i < Count; i++)
        sums[i] = 0;
    size_t packs = length / Size, step = static_cast<size_t>(gridDim.x) * SweepThreads;
#pragma unroll 1
    for (size_t p = blockIdx.x * static_cast<size_t>(SweepThreads) + threadIdx.x; p < packs; p += step)
    {
        Piece q[Count], y = reinterpret_cast<const Piece*>(x)[p];
#pragma unroll
        for (int i = 0; i < Count; i++)
        {
            if (i < count)
                q[i] = reinterpret_cast<const Piece*>(basis.vectors[i])[p];
        }
        if (coefficients != nullptr)
        {
#pragma unroll
            for (int i = 0; i < Count; i++)
            {
                if (i < count)
                {
#pragma unroll
                    for (int e = 0; e < Size; e++)
                        y.values[e] = fma(c[i], q[i].values[e], y.values[e]);
                }
            }
            reinterpret_cast<Piece*>(x)[p] = y;
        }
        if (projects)
        {
#pragma unroll
            for (int i = 0; i < Count; i++)
            {
                if (i < count)
                {
#pragma unroll
                    for (int e = 0; e < Size; e++)
                        sums[i] = fma(static_cast<double>(q[i].values[e]), static_cast<double>(y.values[e]), sums[i]);
                }
            }
        }
        else
        {
#pragma unroll
            for (int e = 0; e < Size; e++)
                square = fma(static_cast<double>(y.values[e]), static_cast<double>(y.values[e]), square);
        }
    }
    if (projects)
    {
#pragma unroll
        for (int i = 0; i < Count; i++)
        {
            if (i < count)
            {
                double sum = block_sum<SweepThreads>(sums[i]);
                if (threadIdx.x == 0)
                    products[i * gridDim.x + blockIdx.x] = sum;
            }
        }
    }
    else
    {
        square = block_sum<SweepThreads>(square);
        if (threadIdx.x == 0)
            products[blockIdx.x] = square;
    }
}

// totals[i] = sum over the blocks' parts of product i.  Launch: grid (products), block (SweepThreads).
extern "C" __global__ void __launch_bounds__(SweepThreads)
    sweep_totals(double* __restrict__ totals, const double* __restrict__ parts, int blocks)
{
    double sum = 0;
    for (int b = threadIdx.x; b < blocks; b += SweepThreads)
        sum += parts[static_cast<size_t>(blockIdx.x) * blocks + b];
    sum = block_sum<SweepThreads>(sum);
    if (threadIdx.x == 0)
        totals[blockIdx.x] = sum;
}

#define SWEEP(NAME, T, SIZE, COUNT)                                                                                    \
    extern "C" __global__ void __launch_bounds__(SweepThreads)                                                         \
        NAME(T* __restrict__ x, const __grid_constant__ Basis basis, const double* __restrict__ coefficients,          \
             double* __restrict__ products, size_t length, int count, int projects)                                    \
    {                                                                                                                  \
        sweep<T, SIZE, COUNT>(x, basis, coefficients, products, length, count, projects);                              \
    }

SWEEP(sweep_8_f32, float, 4, 8)
SWEEP(sweep_16_f32, float, 4, 16)
SWEEP(sweep_24_f32, float, 4, 24)
SWEEP(sweep_34_f32, float, 2, 34)

// Any length and alignment.
SWEEP(sweep_any_f32, float, 1, 8)
SWEEP(sweep_any_f64, double, 1, 8)
