// The steps of kernels/hadamard_columns.cu.
//
// Index of a row, from the highest bits: line | run in the line | row of the run. Step 1 transforms over the lines, step 3 over the runs of
// a line, step 4 over a run. Of a tile a block has first a share of the places of all lines, then all of some lines: between the steps a row
// goes to the block that writes it. In shared memory a block has its runs one after the other, `pitch` rows apart.
#pragma once

#include "hadamard.cuh"
#include "paley.cuh"

constexpr int ColumnMiddleBits = 3;    // of step 3, at most

constexpr int column_log2(int value) { return value < 2 ? 0 : 1 + column_log2(value / 2); }

// What a thread has in registers: `Words` of a column, at most. That bounds the bits of step 1, which send no more than 64 lines without a
// base, and those of a run.
template <int Order, int Words, typename T> struct ColumnShape
{
    static constexpr int Rows = Words * 4 / sizeof(T), RunBits = column_log2(Rows), Most = column_log2(Rows / Order);
    static constexpr int Bits = Most < 6 ? Most : 6;
};

struct ColumnPass
{
    void* x;
    const float* scale;             // null: ones
    size_t stride;                  // in elements, from row to row
    int columns, width_bits;        // of the matrix; log2 of those of a tile, 3 at least
    int line_bits, run_bits;        // log2 of the rows of a line and of a run
    int cluster_bits;               // log2 of the blocks that share a tile
    int pitch, scale_after;
    double norm;
};

// What a thread has of a tile: a column, in which it is number `slot` of `slots` threads. Columns beyond the last are copies of that.
template <typename T> struct ColumnTile
{
    const ColumnPass& pass;
    T* x;
    unsigned shared;                // the column in the block's first row
    int rank, slot, slots;
    bool valid;
    T norm;

    __device__ __forceinline__ int row_bytes() const { return sizeof(T) << pass.width_bits; }
    __device__ __forceinline__ int run_bytes() const { return pass.pitch * row_bytes(); }
    __device__ __forceinline__ T* row(int row) const { return x + row * pass.stride; }
};

// Factors of the rows of a thread: eight neighbours have the same rows, and load an eighth each.
template <int Count> struct ColumnFactors
{
    static constexpr int Sharers = 8;
    float mine[(Count + Sharers - 1) / Sharers];

    __device__ __forceinline__ ColumnFactors(const float* scale, int step)
    {
#pragma unroll
        for (int i = 0; i < Count; i += Sharers)
            mine[i / Sharers] = scale[min(i + static_cast<int>(threadIdx.x) % Sharers, Count - 1) * step];
    }
    template <typename T> __device__ __forceinline__ void multiply(T (&v)[Count], T norm) const
    {
#pragma unroll
        for (int i = 0; i < Count; i++)
            v[i] *= norm * static_cast<T>(__shfl_sync(0xFFFFFFFFu, mine[i / Sharers], i % Sharers, Sharers));
    }
};

// Step 2: to each block of the cluster its lines, to the same place.
template <int Ranks, typename T, int Lines>
__device__ __forceinline__ void send_lines(const T (&v)[Lines], unsigned address, int line_bytes)
{
    constexpr int Share = Lines / Ranks;
#pragma unroll
    for (int rank = 0; rank < Ranks; rank++)
    {
#pragma unroll
        for (int i = 0; i < Share; i++)
        {
            if constexpr (Ranks == 1)
                store_shared(address + i * line_bytes, v[i]);
#if __CUDA_ARCH__ >= 900
            else
                store_remote(remote_address(address, rank) + i * line_bytes, v[rank * Share + i]);
#endif
        }
    }
}

// Steps 1 and 2: a thread has a place of all lines.
template <int Order, int Bits, bool Transposed, typename T>
__device__ __forceinline__ void transform_lines(const ColumnTile<T>& tile, bool before)
{
    constexpr int Lines = Order << Bits;
    const ColumnPass& pass = tile.pass;
    int places = 1 << (pass.line_bits - pass.cluster_bits);
    int line_bytes = tile.run_bytes() << (pass.line_bits - pass.run_bits);
    size_t step = pass.stride << pass.line_bits;
#pragma unroll 1
    for (int start = 0; start < places; start += tile.slots)
    {
        int own = start + tile.slot, place = tile.rank * places + min(own, places - 1);
        const T* source = tile.row(place);
        T v[Lines];
        if (before)
        {
            ColumnFactors<Lines> factors(pass.scale + place, 1 << pass.line_bits);
#pragma unroll
            for (int i = 0; i < Lines; i++)
                v[i] = load_once(source + i * step);
            factors.multiply(v, tile.norm);
        }
        else
        {
#pragma unroll
            for (int i = 0; i < Lines; i++)
                v[i] = load_once(source + i * step);
        }
        hadamard_lines<Order, Bits, Transposed>(v);
        if (start == 0 && pass.cluster_bits > 0)
            cluster_wait();    // All blocks are there: one that has not begun has no memory.
        if (own >= places)
            break;
        int run = place >> pass.run_bits, row = place & ((1 << pass.run_bits) - 1);
        unsigned target = tile.shared + run * tile.run_bytes() + row * tile.row_bytes();
        switch (pass.cluster_bits)
        {
#if __CUDA_ARCH__ >= 900
        case 1: send_lines<2>(v, target, line_bytes); break;
        case 2: send_lines<4>(v, target, line_bytes); break;
        case 3: send_lines<8>(v, target, line_bytes); break;
        case 4: send_lines<16>(v, target, line_bytes); break;
#endif
        default: send_lines<1>(v, target, line_bytes); break;
        }
    }
}

// Step 3: Log levels, all those between the runs of a line.
template <int Log, typename T> __device__ __forceinline__ void transform_runs(const ColumnTile<T>& tile, int runs)
{
    int run_bits = tile.pass.run_bits, step = tile.run_bytes();
#pragma unroll 1
    for (int unit = tile.slot; unit < runs >> Log << run_bits; unit += tile.slots)
    {
        int run = unit >> run_bits << Log, row = unit & ((1 << run_bits) - 1);
        unsigned address = tile.shared + run * step + row * tile.row_bytes();
        T v[1 << Log];
#pragma unroll
        for (int i = 0; i < 1 << Log; i++)
            v[i] = load_shared<T>(address + i * step);
        hadamard_levels<Log>(v);
#pragma unroll
        for (int i = 0; i < 1 << Log; i++)
            store_shared(address + i * step, v[i]);
    }
}

// Step 4: a thread has a run of Log levels, and writes it.
template <int Log, typename T> __device__ __forceinline__ void store_runs(const ColumnTile<T>& tile, int runs, bool before)
{
    const ColumnPass& pass = tile.pass;
#pragma unroll 1
    for (int start = 0; start < runs; start += tile.slots)
    {
        int own = start + tile.slot, run = min(own, runs - 1), row = (tile.rank * runs + run) << Log;
        unsigned address = tile.shared + run * tile.run_bytes();
        T v[1 << Log];
#pragma unroll
        for (int i = 0; i < 1 << Log; i++)
            v[i] = load_shared<T>(address + i * tile.row_bytes());
        hadamard_levels<Log>(v);
        if (pass.scale == nullptr)
        {
#pragma unroll
            for (int i = 0; i < 1 << Log; i++)
                v[i] *= tile.norm;
        }
        else if (!before)
        {
            ColumnFactors<1 << Log>(pass.scale + row, 1).multiply(v, tile.norm);
        }
        T* target = tile.row(row);
        if (tile.valid && own < runs)
        {
#pragma unroll
            for (int i = 0; i < 1 << Log; i++)
                target[i * pass.stride] = v[i];
        }
    }
}

template <int Log, typename T> __device__ __forceinline__ void store_runs(const ColumnTile<T>& tile, int runs, bool before, int log)
{
    if (log == Log)
        store_runs<Log>(tile, runs, before);
    else if constexpr (Log > 0)
        store_runs<Log - 1>(tile, runs, before, log);
}

template <int Order, int Words, bool Transposed, typename T> __device__ __forceinline__ void hadamard_columns(const ColumnPass& pass)
{
    using Shape = ColumnShape<Order, Words, T>;
    extern __shared__ __align__(16) unsigned char memory[];
    int rank = blockIdx.x & ((1 << pass.cluster_bits) - 1), inner = threadIdx.x & ((1 << pass.width_bits) - 1);
    int column = (blockIdx.x >> pass.cluster_bits << pass.width_bits) + inner;
    bool before = pass.scale != nullptr && pass.scale_after == 0;
    ColumnTile<T> tile{pass, static_cast<T*>(pass.x) + min(column, pass.columns - 1),
                       shared_address(memory) + inner * static_cast<unsigned>(sizeof(T)), rank,
                       static_cast<int>(threadIdx.x) >> pass.width_bits, static_cast<int>(blockDim.x) >> pass.width_bits,
                       column < pass.columns, static_cast<T>(pass.norm)};
    if (pass.cluster_bits > 0)
        cluster_arrive();
    transform_lines<Order, Shape::Bits, Transposed>(tile, before);
    if (pass.cluster_bits > 0)
        cluster_barrier();
    else
        __syncthreads();

    int middle = pass.line_bits - pass.run_bits, runs = (Order << Shape::Bits >> pass.cluster_bits) << middle;
    if (middle > 0)
    {
        switch (middle)
        {
        case 1: transform_runs<1>(tile, runs); break;
        case 2: transform_runs<2>(tile, runs); break;
        default: transform_runs<ColumnMiddleBits>(tile, runs); break;
        }
        __syncthreads();
    }
    store_runs<Shape::RunBits>(tile, runs, before, pass.run_bits);
}
