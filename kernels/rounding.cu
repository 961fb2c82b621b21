// Two-sided adaptive rounding of a stack of matrices of one shape, one anti-diagonal of 16 x 16 tiles at a time.
// Shapes    w, u, v (count m, n) f32; l_out (count m, m), l_in (count n, n) f32, strictly block-lower, or null for 0;
//           targets, values (count tiles, 256) f32 in the order of the path; row-major without gaps, 16-byte aligned.
//           m, n multiples of 16. Tile t of the diagonal lies in tile row first_row + t, tile column first_column - t.
// Math      U = E l_in, V = l_out^T Z, Z = E + U, T = W + U + V. Of tiles that are done w holds E, u Z, v S.
//           A tile pulls from the rest of its 128 x 128 block and from the next block (near, f32); what comes from
//           beyond is summed once a block, as a product of 128 rows and columns, when its first tile is reached (far).
// Numerics  far: operands rounded to TF32, sums in f32; near: f32; losses in f64; orders depend on shapes alone.
// Source    YAQA, arXiv:2505.22988, section 3.
#include "device/feedback.cuh"
#include "device/trellis.cuh"

constexpr int TileThreads = TileWeights;

// far: u of every block whose first tile lies on the diagonal <- E l_in over the columns from the next but one block
// on; v likewise. Grid (block rows, 2, count), block (256).
extern "C" __global__ void __launch_bounds__(FarThreads, 2)
    rounding_far_f32(const float* w, float* u, float* v, const float* l_out, const float* l_in, int m, int n,
                     int diagonal)
{
    __shared__ FarPanels panels;
    int block_row = blockIdx.x, last_row = min((block_row + 1) * BlockTiles, m / 16) - 1, column = diagonal - last_row;
    if (column < 0 || column >= n / 16 || (column != n / 16 - 1 && column % BlockTiles != BlockTiles - 1))
        return;
    int row0 = block_row * Block, column0 = column / BlockTiles * Block;
    size_t matrix = blockIdx.z;
    if (blockIdx.y == 0 && l_in != nullptr)
        far_product<false>(panels, u + matrix * m * n, w + matrix * m * n, l_in + matrix * n * n, m, n, n, row0,
                           column0, column0 + 2 * Block, n);
    if (blockIdx.y == 1 && l_out != nullptr)
        far_product<true>(panels, v + matrix * m * n, l_out + matrix * m * m, u + matrix * m * n, m, n, m, row0,
                          column0, row0 + 2 * Block, m);
}

// targets <- T, u <- U of the tiles of the diagonal. Grid (tiles, count), block (256).
extern "C" __global__ void __launch_bounds__(TileThreads)
    rounding_targets_f32(const float* w, float* u, const float* v, const float* __restrict__ l_out,
                         const float* __restrict__ l_in, float* __restrict__ targets, int m, int n, int first_row,
                         int first_column, int fragment_order)
{
    __shared__ alignas(16) float sums[2][NearWarps][TileWeights];
    int row = first_row + blockIdx.x, column = first_column - blockIdx.x, warp = threadIdx.x / WarpSize;
    size_t corner = static_cast<size_t>(blockIdx.y) * m * n + static_cast<size_t>(row) * 16 * n + column * 16;
    if (l_in != nullptr)
        near_input(sums[0][warp], w + corner, l_in + static_cast<size_t>(blockIdx.y) * n * n, n, column, warp);
    if (l_out != nullptr)
        near_output(sums[1][warp], u + corner, l_out + static_cast<size_t>(blockIdx.y) * m * m, m, n, row, warp);
    __syncthreads();

    int2 place = weight_place(fragment_order != 0, threadIdx.x);
    size_t at = corner + static_cast<size_t>(place.x) * n + place.y;
    int i = place.x * 16 + place.y;
    float from_right = l_in != nullptr ? u[at] + sum_of_warps(sums[0], i) : 0.0f;
    float from_below = l_out != nullptr ? v[at] + sum_of_warps(sums[1], i) : 0.0f;
    u[at] = from_right;
    targets[(static_cast<size_t>(blockIdx.y) * gridDim.x + blockIdx.x) * TileWeights + threadIdx.x] =
        w[at] + from_right + from_below;
}

// w <- E = W - Q, u <- Z = E + U, v <- S = T - Q of the tiles of the diagonal. Grid (tiles, count), block (256).
extern "C" __global__ void __launch_bounds__(TileThreads)
    rounding_errors_f32(float* __restrict__ w, float* __restrict__ u, float* __restrict__ v,
                        const float* __restrict__ targets, const float* __restrict__ values, int m, int n,
                        int first_row, int first_column, int fragment_order)
{
    size_t tile = static_cast<size_t>(blockIdx.y) * gridDim.x + blockIdx.x, step = tile * TileWeights + threadIdx.x;
    int2 place = weight_place(fragment_order != 0, threadIdx.x);
    size_t row = static_cast<size_t>(blockIdx.y) * m + (first_row + blockIdx.x) * 16 + place.x;
    size_t at = row * n + (first_column - blockIdx.x) * 16 + place.y;
    float value = values[step], error = w[at] - value;
    w[at] = error;
    u[at] += error;
    v[at] = targets[step] - value;
}

// codes <- the bits of the tiles of the diagonal: byte p of a tile's ring holds its bits 8 p ... 8 p + 7, most
// significant first (Reference/TrellisPacking.cs). states (count tiles, steps) u16 without gaps; codes (count tile_rows
// tile_columns, 16 bits) u16. Grid (tiles, count), block (32 bits).
extern "C" __global__ void __launch_bounds__(TileThreads)
    rounding_pack_u16(uint8_t* __restrict__ codes, const uint16_t* __restrict__ states, int steps, int bits,
                      int step_bits, int tile_rows, int tile_columns, int first_row, int first_column,
                      int kernel_layout)
{
    int row = first_row + blockIdx.x, column = first_column - blockIdx.x, p = threadIdx.x, bit = 8 * p;
    const uint16_t* ring = states + (static_cast<size_t>(blockIdx.y) * gridDim.x + blockIdx.x) * steps;
    uint8_t* matrix = codes + static_cast<size_t>(blockIdx.y) * tile_rows * tile_columns * 32 * bits;
    size_t address;
    if (kernel_layout != 0)
    {
        size_t group = static_cast<size_t>(row / 2) * (tile_columns / 2) + column / 2;
        address = (((group * 32 + p / bits) * 2 + column % 2) * 2 + row % 2) * bits + (bits - 1 - p % bits);
    }
    else
    {
        address = (static_cast<size_t>(row) * tile_columns + column) * 32 * bits + (p ^ 1);
    }
    matrix[address] = static_cast<uint8_t>(ring[bit / step_bits] >> (8 - bit % step_bits));
}

// partial[matrix, block] <- the block's share of sum over the tiles of tr(D_out,i S_ij D_in,j S_ij^T); an absent D is
// the identity. s (count m, n) f32, d_out (count m, 16), d_in (count n, 16) f64. Grid (LossBlocks, count), block (256).
extern "C" __global__ void __launch_bounds__(TileThreads)
    rounding_loss_f32(double* __restrict__ partial, const float* __restrict__ s, const double* __restrict__ d_out,
                      const double* __restrict__ d_in, int m, int n)
{
    __shared__ double tile[16][17], left[16][17], right[16][17];
    int row = threadIdx.x / 16, column = threadIdx.x % 16, tile_columns = n / 16;
    size_t matrix = blockIdx.y, tiles = static_cast<size_t>(m / 16) * tile_columns;
    double sum = 0;
    for (size_t t = blockIdx.x; t < tiles; t += gridDim.x)
    {
        size_t tile_row = t / tile_columns, tile_column = t % tile_columns;
        double value = s[(matrix * m + tile_row * 16 + row) * n + tile_column * 16 + column], ds = value, sd = value;
        __syncthreads();
        tile[row][column] = value;
        if (d_out != nullptr)
            left[row][column] = d_out[(matrix * m + tile_row * 16) * 16 + threadIdx.x];
        if (d_in != nullptr)
            right[row][column] = d_in[(matrix * n + tile_column * 16) * 16 + threadIdx.x];
        __syncthreads();
        if (d_out != nullptr)
        {
            ds = 0;
#pragma unroll
            for (int k = 0; k < 16; k++)
                ds = fma(left[row][k], tile[k][column], ds);
        }
        if (d_in != nullptr)
        {
            sd = 0;
#pragma unroll
            for (int k = 0; k < 16; k++)
                sd = fma(tile[row][k], right[k][column], sd);
        }
        sum = fma(ds, sd, sum);
    }
    sum = block_sum<TileThreads>(sum);
    if (threadIdx.x == 0)
        partial[matrix * gridDim.x + blockIdx.x] = sum;
}

// losses[matrix] <- the sum of its parts, in order. Grid (count), block (256).
extern "C" __global__ void __launch_bounds__(TileThreads)
    rounding_loss_total(double* __restrict__ losses, const double* __restrict__ partial, int parts)
{
    double sum = 0;
    for (int i = threadIdx.x; i < parts; i += TileThreads)
        sum += partial[static_cast<size_t>(blockIdx.x) * parts + i];
    sum = block_sum<TileThreads>(sum);
    if (threadIdx.x == 0)
        losses[blockIdx.x] = sum;
}

// ---- Sinkhorn's iteration on squared weights: w (count m, n) f32, r (count, m), c (count, n) f64. ----

// sum == 0 ? 1 : count / sum
__device__ __forceinline__ double multiplier(double sum, int count)
{
    return sum == 0 ? 1.0 : count / sum;
}

// r[i] <- 1 / mean over j of w[i, j]^2 c[j]. Grid (m, count), block (256).
extern "C" __global__ void __launch_bounds__(TileThreads)
    balance_rows_f32(double* __restrict__ r, const float* __restrict__ w, const double* __restrict__ c, int n)
{
    size_t row = static_cast<size_t>(blockIdx.y) * gridDim.x + blockIdx.x;
    const float* values = w + row * n;
    const double* multipliers = c + static_cast<size_t>(blockIdx.y) * n;
    double sum = 0;
    for (int j = threadIdx.x; j < n; j += TileThreads)
    {
        double value = values[j];
        sum = fma(value * value, multipliers[j], sum);
    }
    sum = block_sum<TileThreads>(sum);
    if (threadIdx.x == 0)
        r[row] = multiplier(sum, n);
}

// partial[matrix, band, j] <- sum over the band's rows of w[i, j]^2 r[i]. Grid (n / 256, bands, count), block (256).
extern "C" __global__ void __launch_bounds__(TileThreads)
    balance_bands_f32(double* __restrict__ partial, const float* __restrict__ w, const double* __restrict__ r, int m,
                      int n)
{
    int column = blockIdx.x * TileThreads + threadIdx.x, rows = (m + gridDim.y - 1) / gridDim.y;
    if (column >= n)
        return;
    size_t matrix = blockIdx.z;
    double sum = 0;
    for (int row = blockIdx.y * rows; row < min(m, static_cast<int>(blockIdx.y + 1) * rows); row++)
    {
        double value = w[(matrix * m + row) * n + column];
        sum = fma(value * value, r[matrix * m + row], sum);
    }
    partial[(matrix * gridDim.y + blockIdx.y) * n + column] = sum;
}

// c[j] <- 1 / mean over i of w[i, j]^2 r[i], from the sums of bands. Grid (n / 256, count), block (256).
extern "C" __global__ void __launch_bounds__(TileThreads)
    balance_columns_f64(double* __restrict__ c, const double* __restrict__ partial, int m, int n, int bands)
{
    int column = blockIdx.x * TileThreads + threadIdx.x;
    if (column >= n)
        return;
    size_t matrix = blockIdx.y;
    double sum = 0;
    for (int band = 0; band < bands; band++)
        sum += partial[(matrix * bands + band) * n + column];
    c[matrix * n + column] = multiplier(sum, m);
}
