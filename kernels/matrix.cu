// Elementwise and triangular parts of the matrix family; products and solves are cuBLAS's, Cholesky cuSOLVER's.
// Shapes    row-major; rows lie a stride of elements apart.
// Numerics  one rounding per operation (axpy: fused); dot and block LDL in f64, in an order that only shapes decide.
#include "device/elementwise.cuh"
#include "device/reduce.cuh"

constexpr int DotThreads = 256;
constexpr int DotTile = DotThreads * 8;       // Columns of one row that a block sums at a time.
constexpr int TileSize = 64, TileRows = 4;    // Square tile of the triangular kernels; rows of threads on it.
constexpr int FactorThreads = 256;

// ---- axpy: y = y + alpha * x;  multiply: y = y * x;  scale: x = alpha * x.  Launch: elementwise. ----

template <typename T>
__device__ __forceinline__ void axpy(T* y, const T* x, size_t strideY, size_t strideX, size_t rows, size_t columns,
                                     int aligned, T alpha)
{
    constexpr int N = PackElements<T>;
    for_each_element<N>(rows, columns, aligned,
        [=](size_t row, size_t column)
        {
            Pack<T, N> from = load_pack<N>(x + row * strideX + column);
            Pack<T, N> to = load_pack<N>(y + row * strideY + column);
#pragma unroll
            for (int i = 0; i < N; i++)
                to.values[i] = fma(alpha, from.values[i], to.values[i]);
            store_pack(y + row * strideY + column, to);
        },
        [=](size_t row, size_t column)
        {
            y[row * strideY + column] = fma(alpha, x[row * strideX + column], y[row * strideY + column]);
        });
}

template <typename T>
__device__ __forceinline__ void scale(T* x, size_t stride, size_t rows, size_t columns, int aligned, T alpha)
{
    constexpr int N = PackElements<T>;
    for_each_element<N>(rows, columns, aligned,
        [=](size_t row, size_t column)
        {
            Pack<T, N> pack = load_pack<N>(x + row * stride + column);
#pragma unroll
            for (int i = 0; i < N; i++)
                pack.values[i] *= alpha;
            store_pack(x + row * stride + column, pack);
        },
        [=](size_t row, size_t column) { x[row * stride + column] *= alpha; });
}

extern "C" __global__ void __launch_bounds__(ElementwiseThreads, ElementwiseBlocks) axpy_f32(
    float* __restrict__ y, const float* __restrict__ x, size_t strideY, size_t strideX, size_t rows, size_t columns,
    int aligned, float alpha)
{
    axpy(y, x, strideY, strideX, rows, columns, aligned, alpha);
}

extern "C" __global__ void __launch_bounds__(ElementwiseThreads, ElementwiseBlocks) axpy_f64(
    double* __restrict__ y, const double* __restrict__ x, size_t strideY, size_t strideX, size_t rows, size_t columns,
    int aligned, double alpha)
{
    axpy(y, x, strideY, strideX, rows, columns, aligned, alpha);
}

extern "C" __global__ void __launch_bounds__(ElementwiseThreads, ElementwiseBlocks) multiply_f32(
    float* __restrict__ y, const float* __restrict__ x, size_t strideY, size_t strideX, size_t rows, size_t columns,
    int aligned)
{
    constexpr int N = PackElements<float>;
    for_each_element<N>(rows, columns, aligned,
        [=](size_t row, size_t column)
        {
            Pack<float, N> from = load_pack<N>(x + row * strideX + column);
            Pack<float, N> to = load_pack<N>(y + row * strideY + column);
#pragma unroll
            for (int i = 0; i < N; i++)
                to.values[i] *= from.values[i];
            store_pack(y + row * strideY + column, to);
        },
        [=](size_t row, size_t column) { y[row * strideY + column] *= x[row * strideX + column]; });
}

extern "C" __global__ void __launch_bounds__(ElementwiseThreads, ElementwiseBlocks)
    scale_f32(float* __restrict__ x, size_t stride, size_t rows, size_t columns, int aligned, float alpha)
{
    scale(x, stride, rows, columns, aligned, alpha);
}

extern "C" __global__ void __launch_bounds__(ElementwiseThreads, ElementwiseBlocks)
    scale_f64(double* __restrict__ x, size_t stride, size_t rows, size_t columns, int aligned, double alpha)
{
    scale(x, stride, rows, columns, aligned, alpha);
}

// ---- dot: sum of x * y in float64.  Launch: dot_* with a fixed number of blocks, then dot_total with one. ----

template <typename X, typename Y>
__device__ __forceinline__ void dot(double* partial, const X* x, const Y* y, size_t strideX, size_t strideY,
                                    size_t rows, size_t columns)
{
    size_t tilesPerRow = (columns + DotTile - 1) / DotTile;
    double sum = 0;
    for (size_t tile = blockIdx.x; tile < rows * tilesPerRow; tile += gridDim.x)
    {
        size_t row = tile / tilesPerRow, start = (tile - row * tilesPerRow) * DotTile + threadIdx.x;
#pragma unroll
        for (int i = 0; i < DotTile / DotThreads; i++)
        {
            size_t column = start + i * DotThreads;
            if (column < columns)
                sum = fma(convert<double>(x[row * strideX + column]), convert<double>(y[row * strideY + column]), sum);
        }
    }
    sum = block_sum<DotThreads>(sum);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

// x and y may be the same matrix: both are only read.
#define DOT(NAME, X, Y)                                                                                               \
    extern "C" __global__ void __launch_bounds__(DotThreads)                                                          \
        NAME(double* __restrict__ partial, const X* __restrict__ x, const Y* __restrict__ y, size_t strideX,          \
             size_t strideY, size_t rows, size_t columns)                                                             \
    {                                                                                                                 \
        dot(partial, x, y, strideX, strideY, rows, columns);                                                          \
    }

DOT(dot_f32_f32, float, float)
DOT(dot_f32_f64, float, double)
DOT(dot_f32_bf16, float, bf16)
DOT(dot_f32_f16, float, half)
DOT(dot_f64_f64, double, double)
DOT(dot_f64_bf16, double, bf16)
DOT(dot_f64_f16, double, half)
DOT(dot_bf16_bf16, bf16, bf16)
DOT(dot_bf16_f16, bf16, half)
DOT(dot_f16_f16, half, half)

extern "C" __global__ void __launch_bounds__(DotThreads)
    dot_total(double* __restrict__ total, const double* __restrict__ partial, int count)
{
    double sum = 0;
    for (int i = threadIdx.x; i < count; i += DotThreads)
        sum += partial[i];
    sum = block_sum<DotThreads>(sum);
    if (threadIdx.x == 0)
        *total = sum;
}

// ---- Triangles of a square matrix.  Launch: grid (tiles, tiles), block (TileSize, TileRows). ----

// mirror: c[j,i] = c[i,j] for i > j.
template <typename T> __device__ __forceinline__ void mirror(T* c, size_t stride, int n)
{
    __shared__ T tile[TileSize][TileSize + 1];
    int left = blockIdx.x * TileSize, top = blockIdx.y * TileSize;
    if (left > top)
        return;
    for (int i = threadIdx.y; i < TileSize; i += TileRows)
    {
        int row = top + i, column = left + threadIdx.x;
        if (row < n && column < n)
            tile[i][threadIdx.x] = c[row * stride + column];
    }
    __syncthreads();
    for (int i = threadIdx.y; i < TileSize; i += TileRows)
    {
        int row = left + i, column = top + threadIdx.x;
        if (row < column && column < n)
            c[row * stride + column] = tile[threadIdx.x][i];
    }
}

// clear_upper: c[i,j] = 0 for j > i.
template <typename T> __device__ __forceinline__ void clear_upper(T* c, size_t stride, int n)
{
    int column = blockIdx.x * TileSize + threadIdx.x, top = blockIdx.y * TileSize;
    for (int row = top + threadIdx.y; row < min(top + TileSize, n); row += TileRows)
    {
        if (column > row && column < n)
            c[row * stride + column] = T(0);
    }
}

#define TRIANGLE(OPERATION, SUFFIX, T)                                                                                \
    extern "C" __global__ void __launch_bounds__(TileSize * TileRows)                                                 \
        OPERATION##_##SUFFIX(T* __restrict__ c, size_t stride, int n)                                                 \
    {                                                                                                                 \
        OPERATION(c, stride, n);                                                                                      \
    }

TRIANGLE(mirror, f32, float)
TRIANGLE(mirror, f64, double)
TRIANGLE(clear_upper, f32, float)
TRIANGLE(clear_upper, f64, double)

// ---- bad_pivot: where info is 0, it becomes the 1-based index of the first diagonal element that is not positive and
// finite, if any.  Launch: one block. A NaN or infinity that a factorisation ran through is still on the diagonal. ----

extern "C" __global__ void __launch_bounds__(FactorThreads)
    bad_pivot_f64(int* __restrict__ info, const double* __restrict__ factor, size_t stride, int n)
{
    int first = n;
    for (int i = threadIdx.x; i < n; i += FactorThreads)
    {
        double pivot = factor[i * (stride + 1)];
        if (!(pivot > 0 && isfinite(pivot)))
            first = min(first, i);
    }
    __shared__ int partial[FactorThreads / WarpSize];
    first = __reduce_min_sync(FullWarp, first);
    if (threadIdx.x % WarpSize == 0)
        partial[threadIdx.x / WarpSize] = first;
    __syncthreads();
    if (threadIdx.x != 0 || *info != 0)
        return;
    for (int warp = 1; warp < FactorThreads / WarpSize; warp++)
        first = min(first, partial[warp]);
    if (first < n)
        *info = first + 1;
}

// ---- Block LDL from the Cholesky factor C (n, n): l = C blockdiag(C_ii)^-1 - I, D_i = C_ii C_ii^T ----

// block_diagonal: inverse (n, block) = the C_ii^-1, d (n, block) = the D_i, each above each other.
// Launch    grid (n / block), block (FactorThreads); a thread owns a column of both.
extern "C" __global__ void __launch_bounds__(FactorThreads, 2) block_diagonal_f64(
    double* __restrict__ inverse, double* __restrict__ d, const double* __restrict__ c, size_t strideC,
    size_t strideD, int block)
{
    size_t first = static_cast<size_t>(blockIdx.x) * block;
    const double* corner = c + first * (strideC + 1);
    double* columns = inverse + first * block;
    for (int j = threadIdx.x; j < block; j += FactorThreads)
    {
        for (int i = 0; i < block; i++)
        {
            // Row i of C_ii times column j of its inverse is element (i, j) of I.
            double rest = i == j ? 1.0 : 0.0, square = 0.0;
            for (int p = j; p < i; p++)
                rest = fma(-corner[i * strideC + p], columns[static_cast<size_t>(p) * block + j], rest);
            columns[static_cast<size_t>(i) * block + j] = i < j ? 0.0 : rest / corner[i * (strideC + 1)];
            for (int p = 0; p <= min(i, j); p++)
                square = fma(corner[i * strideC + p], corner[j * strideC + p], square);
            d[(first + i) * strideD + j] = square;
        }
    }
}

// block_lower: l[r,c] = sum over the p of c's block, p >= c, of C[r,p] inverse[p,c], rounded once; 0 from r's block on.
// Launch    grid (columns of FactorThreads, rows), rows beyond the grid by striding.
extern "C" __global__ void __launch_bounds__(FactorThreads) block_lower_f64_f32(
    float* __restrict__ l, const double* __restrict__ c, const double* __restrict__ inverse, size_t strideL,
    size_t strideC, int n, int block)
{
    int column = blockIdx.x * FactorThreads + threadIdx.x;
    if (column >= n)
        return;
    int offset = column % block, start = column - offset;
    for (int row = blockIdx.y; row < n; row += gridDim.y)
    {
        double sum = 0.0;
        if (start + block <= row)
        {
            for (int p = column; p < start + block; p++)
                sum = fma(c[row * strideC + p], inverse[static_cast<size_t>(p) * block + offset], sum);
        }
        l[row * strideL + column] = static_cast<float>(sum);
    }
}
