// The steps of kernels/hadamard_unrolled.cu.
//
// Index of an element on the transformed axis, from the highest bits: line | rank of the block in its cluster | place in the line. Step 1
// transforms over the lines, the rounds over the place, the last one also over the rank. A tile has its lines one after the other in
// shared memory; a line has the adjacent columns of a tile innermost.
#pragma once

#include "hadamard.cuh"
#include "paley.cuh"

constexpr int UnrolledThreads = 256;      // at most
constexpr int UnrolledRoundBits = 3;      // a thread has 8 chunks

struct UnrolledPass
{
    void* x;
    const float* scale;                   // null: ones
    size_t axis_stride, side_stride;      // in elements, along the transformed axis and across it
    int sides, limit;                     // vectors of a tile, and of the matrix
    int width_bits;                       // log2 of the sides that lie innermost in shared memory: all of them (columns), or 0 (rows)
    int line_bits, cluster_bits;          // log2 of the elements of a line on the axis, in a cluster; log2 of a cluster's blocks
    int pitch, swizzle;                   // chunks from line to line in shared memory; distance of the bits that are mixed (below)
    int round_bits, last_bits;            // levels between chunks of all rounds but the last, at most; of the last, the cluster's aside
    int scale_after;
    double norm;
};

template <typename T> struct UnrolledTile
{
    const UnrolledPass& pass;
    T* shared;
    T* x;
    int rank, valid, lines;               // vectors of the tile that exist; lines of them all
    int chunk_bits, low_bits;             // log2 of the chunks of a line, and of those side by side
    T norm;

    // Chunk c of a line lies at c, its lowest three bits (those beyond the columns side by side) mixed with those `swizzle` higher, so that
    // eight neighbouring threads of a round use different banks. Linear: place(a + b) = place(a) ^ place(b) where a and b share no bit.
    __device__ __forceinline__ int place(int c) const { return c ^ ((c >> pass.swizzle) & 7 & -(1 << low_bits)); }

    __device__ __forceinline__ Chunk<T>& chunk(int place) const { return reinterpret_cast<Chunk<T>*>(shared)[place]; }

    // Times norm and scale, from that place of the axis on.
    __device__ __forceinline__ void multiply(Chunk<T>& v, int axis) const
    {
        Pack<float, ChunkElements<T>> factors;
        if (pass.scale != nullptr && pass.width_bits == 0)
        {
            factors = load_pack<ChunkElements<T>>(pass.scale + axis);
        }
        else
        {
            float same = pass.scale == nullptr ? 1.0f : pass.scale[axis];
#pragma unroll
            for (int j = 0; j < ChunkElements<T>; j++)
                factors.values[j] = same;
        }
#pragma unroll
        for (int j = 0; j < ChunkElements<T>; j++)
            v.values[j] *= norm * static_cast<T>(factors.values[j]);
    }
};

// Where the Size = 2^Log chunks of a thread lie, 2^bit apart in a line.
template <int Log, typename T> struct UnrolledUnits
{
    const UnrolledTile<T>& tile;
    int bit, unit_bits, steps[Log > 0 ? Log : 1];    // unit_bits: log2 of the units of a line

    __device__ __forceinline__ UnrolledUnits(const UnrolledTile<T>& tile, int bit) : tile(tile), bit(bit), unit_bits(tile.chunk_bits - Log)
    {
#pragma unroll
        for (int t = 0; t < Log; t++)
            steps[t] = tile.place(1 << (bit + t));
    }
    __device__ __forceinline__ int count() const { return tile.lines << unit_bits; }
    __device__ __forceinline__ int line(int unit) const { return unit >> unit_bits; }

    // The first chunk of a unit in its line.
    __device__ __forceinline__ int start(int unit) const
    {
        int within = unit & ((1 << unit_bits) - 1), low = within & ((1 << bit) - 1);
        return (within - low) << Log | low;
    }
    __device__ __forceinline__ int place(int unit, int i) const
    {
        int place = tile.place(start(unit));
#pragma unroll
        for (int t = 0; t < Log; t++)
            place ^= i >> t & 1 ? steps[t] : 0;
        return line(unit) * tile.pass.pitch + place;
    }
};

// Memory comes in whole lines, of which the columns of a tile may be a part: the second level keeps the rest for the neighbours.
__device__ __forceinline__ float load_line(const float* address)
{
    float value;
    asm volatile("ld.global.L2::256B.f32 %0, [%1];" : "=f"(value) : "l"(address) : "memory");
    return value;
}

__device__ __forceinline__ double load_line(const double* address)
{
    double value;
    asm volatile("ld.global.L2::256B.f64 %0, [%1];" : "=d"(value) : "l"(address) : "memory");
    return value;
}

// Step 1: a thread has elements of all lines.
template <int Order, int Bits, bool Transposed, typename T>
__device__ __forceinline__ void load_lines(const UnrolledTile<T>& tile, bool before)
{
    constexpr int Lines = Order << Bits;
    const UnrolledPass& pass = tile.pass;
    int inner_bits = tile.chunk_bits + ChunkBits<T>;    // log2 of the elements of a line
    size_t step = pass.axis_stride << pass.line_bits;
    int pitch = pass.pitch * ChunkElements<T>;
#pragma unroll 1
    for (int t = threadIdx.x; t < tile.lines / Lines << inner_bits; t += blockDim.x)
    {
        int vector = t >> inner_bits, inner = t & ((1 << inner_bits) - 1);
        int side = vector + (inner & ((1 << pass.width_bits) - 1));
        int axis = (tile.rank << (pass.line_bits - pass.cluster_bits)) + (inner >> pass.width_bits);
        if (side >= tile.valid)
            continue;
        const T* source = tile.x + axis * pass.axis_stride + side * pass.side_stride;
        T v[Lines];
#pragma unroll
        for (int i = 0; i < Lines; i++)
            v[i] = load_line(source + i * step);
        if (before)
        {
            const float* factors = pass.scale + axis;
#pragma unroll
            for (int i = 0; i < Lines; i++)
                v[i] *= tile.norm * static_cast<T>(factors[i << pass.line_bits]);
        }
#pragma unroll
        for (int level = 1; level < 1 << Bits; level *= 2)
        {
#pragma unroll
            for (int i = 0; i < Lines; i++)
            {
                if ((i & level) == 0)
                {
                    T a = v[i], b = v[i + level];
                    v[i] = a + b;
                    v[i + level] = a - b;
                }
            }
        }
        if constexpr (Order > 1)
        {
#pragma unroll
            for (int j = 0; j < 1 << Bits; j++)
            {
                T column[Order];
#pragma unroll
                for (int k = 0; k < Order; k++)
                    column[k] = v[(k << Bits) + j];
                multiply_paley<Order, Transposed>(column);
#pragma unroll
                for (int k = 0; k < Order; k++)
                    v[(k << Bits) + j] = column[k];
            }
        }
        int chunk = vector * Lines * pass.pitch + tile.place(inner >> ChunkBits<T>);
        T* target = tile.shared + chunk * ChunkElements<T> + (inner & (ChunkElements<T> - 1));
#pragma unroll
        for (int i = 0; i < Lines; i++)
            target[i * pitch] = v[i];
    }
}

template <int Log, typename T> __device__ __forceinline__ void unrolled_levels(Chunk<T> (&v)[1 << Log], bool within)
{
    if (within)
    {
#pragma unroll
        for (int i = 0; i < 1 << Log; i++)
            hadamard_butterflies<T>(v[i], ChunkBits<T>);
    }
    hadamard_butterflies<Log, T>(v);
}

// Step 2: Log levels between chunks 2^bit apart, after those within chunks if wanted.
template <int Log, typename T> __device__ __forceinline__ void unrolled_round(const UnrolledTile<T>& tile, int bit, bool within)
{
    UnrolledUnits<Log, T> units(tile, bit);
#pragma unroll 1
    for (int unit = threadIdx.x; unit < units.count(); unit += blockDim.x)
    {
        Chunk<T> v[1 << Log];
#pragma unroll
        for (int i = 0; i < 1 << Log; i++)
            v[i] = tile.chunk(units.place(unit, i));
        unrolled_levels<Log, T>(v, within);
#pragma unroll
        for (int i = 0; i < 1 << Log; i++)
            tile.chunk(units.place(unit, i)) = v[i];
    }
}

// Step 3: the same, and with ClusterBits the levels between the blocks of a cluster, each of which writes its share.
template <int Lines, int Log, int ClusterBits, typename T>
__device__ __forceinline__ void store_lines(const UnrolledTile<T>& tile, int bit, bool within, bool before)
{
    constexpr int Size = 1 << Log, Ranks = 1 << ClusterBits;
    const UnrolledPass& pass = tile.pass;
    UnrolledUnits<Log, T> units(tile, bit);
    int axis_bit = bit + ChunkBits<T> - pass.width_bits, rank_bit = pass.line_bits - ClusterBits;
    size_t step = pass.axis_stride << axis_bit, rank_step = pass.axis_stride << rank_bit;
    int share = (units.count() + Ranks - 1) / Ranks, end = min(units.count(), (tile.rank + 1) * share);
#pragma unroll 1
    for (int unit = tile.rank * share + threadIdx.x; unit < end; unit += blockDim.x)
    {
        int line = units.line(unit), vector = line / Lines, inner = units.start(unit) * ChunkElements<T>;
        int side = vector + (inner & ((1 << pass.width_bits) - 1));
        int axis = ((line - vector * Lines) << pass.line_bits) + (inner >> pass.width_bits);
        if (side >= tile.valid)
            continue;
        Chunk<T> v[Size * Ranks];    // of [rank][chunk]
#pragma unroll
        for (int i = 0; i < Size; i++)
        {
            int place = units.place(unit, i);
            if constexpr (Ranks == 1)
            {
                v[i] = tile.chunk(place);
            }
#if __CUDA_ARCH__ >= 900
            else
            {
#pragma unroll
                for (int rank = 0; rank < Ranks; rank++)
                    v[rank * Size + i] = load_remote<T>(remote_address(&tile.chunk(place), rank));
            }
#endif
        }
        unrolled_levels<Log + ClusterBits, T>(v, within);
        if (!before)
        {
#pragma unroll
            for (int i = 0; i < Size * Ranks; i++)
                tile.multiply(v[i], axis + (i / Size << rank_bit) + (i % Size << axis_bit));
        }
        T* row = tile.x + axis * pass.axis_stride + side * pass.side_stride;
#pragma unroll
        for (int rank = 0; rank < Ranks; rank++)
        {
            T* target = row;
#pragma unroll
            for (int i = 0; i < Size; i++)
            {
                store_pack(target, v[rank * Size + i]);
                target += step;
            }
            row += rank_step;
        }
    }
}

template <int Order, int Bits, bool Transposed, typename T> __device__ __forceinline__ void hadamard_unrolled(const UnrolledPass& pass)
{
    extern __shared__ __align__(16) unsigned char memory[];
    constexpr int Lines = Order << Bits;
    int item = blockIdx.x >> pass.cluster_bits, rank = blockIdx.x & ((1 << pass.cluster_bits) - 1);
    int valid = min(pass.sides, pass.limit - item * pass.sides);
    bool rows = pass.width_bits == 0, before = pass.scale != nullptr && pass.scale_after == 0;
    UnrolledTile<T> tile{pass, reinterpret_cast<T*>(memory), static_cast<T*>(pass.x) + item * pass.sides * pass.side_stride, rank, valid,
                         (rows ? valid : 1) * Lines, pass.line_bits - pass.cluster_bits + pass.width_bits - ChunkBits<T>,
                         rows ? 0 : pass.width_bits - ChunkBits<T>, static_cast<T>(pass.norm)};
    load_lines<Order, Bits, Transposed>(tile, before);
    __syncthreads();

    bool within = rows;    // the levels within chunks are still to do
    int bit = tile.low_bits, end = tile.chunk_bits - pass.last_bits;
    while (bit < end)
    {
        int log = min(end - bit, pass.round_bits);
        switch (log)
        {
        case 1: unrolled_round<1>(tile, bit, within); break;
        case 2: unrolled_round<2>(tile, bit, within); break;
        default: unrolled_round<3>(tile, bit, within); break;
        }
        __syncthreads();
        bit += log;
        within = false;
    }
#if __CUDA_ARCH__ >= 900
    if (pass.cluster_bits > 0)
    {
        cluster_barrier();
        switch (pass.cluster_bits)
        {
        case 1: store_lines<Lines, UnrolledRoundBits - 1, 1>(tile, bit, false, before); break;
        case 2: store_lines<Lines, UnrolledRoundBits - 2, 2>(tile, bit, false, before); break;
        default: store_lines<Lines, UnrolledRoundBits - 3, 3>(tile, bit, false, before); break;
        }
        cluster_barrier();    // No block may end while others read it.
        return;
    }
#endif
    switch (pass.last_bits)
    {
    case 0: store_lines<Lines, 0, 0>(tile, bit, within, before); break;
    case 1: store_lines<Lines, 1, 0>(tile, bit, within, before); break;
    case 2: store_lines<Lines, 2, 0>(tile, bit, within, before); break;
    default: store_lines<Lines, 3, 0>(tile, bit, within, before); break;
    }
}
