// The steps of kernels/hadamard_rows.cu.
//
// Index of an element of a row, from the highest bits: line | place in the line. Step 1 transforms over the lines, the rounds over the place.
// A tile has its lines one after the other in shared memory.
#pragma once

#include "hadamard.cuh"
#include "paley.cuh"

constexpr int RowThreads = 256;    // at most

struct RowPass
{
    void* y;
    const void* x;                // y itself, or apart from it
    const float* scale;           // null: ones
    size_t y_stride, x_stride;    // in elements, from row to row
    int vectors, rows;            // of a tile, and of the matrix
    int line_bits;                // log2 of the elements of a line
    int pitch, swizzle;           // chunks from line to line in shared memory; distance of the bits that are mixed (below)
    int round_bits, last_bits;    // levels between chunks: of all rounds but the last, at most; of the last
    int scale_after;
    double norm;
};

template <typename T> struct RowTile
{
    const RowPass& pass;
    T* shared;
    int lines, chunk_bits;        // of all rows; log2 of the chunks of a line
    T norm;

    // Chunk c of a line lies at c, its lowest three bits mixed with those `swizzle` higher, so that eight neighbouring threads of a round
    // use different banks. Linear: place(a + b) = place(a) ^ place(b) where a and b share no bit.
    __device__ __forceinline__ int place(int c) const { return c ^ ((c >> pass.swizzle) & 7); }

    __device__ __forceinline__ Chunk<T>& chunk(int place) const { return reinterpret_cast<Chunk<T>*>(shared)[place]; }

    // Times norm and scale, from that element of the row on.
    __device__ __forceinline__ void multiply(Chunk<T>& v, int element) const
    {
        Pack<float, ChunkElements<T>> factors;
#pragma unroll
        for (int j = 0; j < ChunkElements<T>; j++)
            factors.values[j] = 1.0f;
        if (pass.scale != nullptr)
            factors = load_pack<ChunkElements<T>>(pass.scale + element);
#pragma unroll
        for (int j = 0; j < ChunkElements<T>; j++)
            v.values[j] *= norm * static_cast<T>(factors.values[j]);
    }
};

// Where the Size = 2^Log chunks of a thread lie, 2^bit apart in a line.
template <int Log, typename T> struct RowUnits
{
    const RowTile<T>& tile;
    int bit, unit_bits, steps[Log > 0 ? Log : 1];    // unit_bits: log2 of the units of a line

    __device__ __forceinline__ RowUnits(const RowTile<T>& tile, int bit) : tile(tile), bit(bit), unit_bits(tile.chunk_bits - Log)
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

// Step 1: a thread has elements of all lines.
template <int Order, int Bits, bool Transposed, typename T, typename In>
__device__ __forceinline__ void load_lines(const RowTile<T>& tile, const In* x, bool before)
{
    constexpr int Lines = Order << Bits;
    const RowPass& pass = tile.pass;
    size_t step = size_t(1) << pass.line_bits;
    int pitch = pass.pitch * ChunkElements<T>;
#pragma unroll 1
    for (int t = threadIdx.x; t < tile.lines / Lines << pass.line_bits; t += blockDim.x)
    {
        int vector = t >> pass.line_bits, element = t & ((1 << pass.line_bits) - 1);
        const In* source = x + vector * pass.x_stride + element;
        T v[Lines];
#pragma unroll
        for (int i = 0; i < Lines; i++)
            v[i] = convert<T>(load_once(source + i * step));
        if (before)
        {
            const float* factors = pass.scale + element;
#pragma unroll
            for (int i = 0; i < Lines; i++)
                v[i] *= tile.norm * static_cast<T>(factors[i * step]);
        }
        hadamard_lines<Order, Bits, Transposed>(v);
        int chunk = vector * Lines * pass.pitch + tile.place(element >> ChunkBits<T>);
        T* target = tile.shared + chunk * ChunkElements<T> + (element & (ChunkElements<T> - 1));
#pragma unroll
        for (int i = 0; i < Lines; i++)
            target[i * pitch] = v[i];
    }
}

template <int Log, typename T> __device__ __forceinline__ void row_levels(Chunk<T> (&v)[1 << Log], bool within)
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
template <int Log, typename T> __device__ __forceinline__ void row_round(const RowTile<T>& tile, int bit, bool within)
{
    RowUnits<Log, T> units(tile, bit);
#pragma unroll 1
    for (int unit = threadIdx.x; unit < units.count(); unit += blockDim.x)
    {
        Chunk<T> v[1 << Log];
#pragma unroll
        for (int i = 0; i < 1 << Log; i++)
            v[i] = tile.chunk(units.place(unit, i));
        row_levels<Log, T>(v, within);
#pragma unroll
        for (int i = 0; i < 1 << Log; i++)
            tile.chunk(units.place(unit, i)) = v[i];
    }
}

// Step 3: the same, and to memory.
template <int Lines, int Log, typename T, typename Out>
__device__ __forceinline__ void store_lines(const RowTile<T>& tile, Out* y, int bit, bool within, bool before)
{
    constexpr int Size = 1 << Log;
    const RowPass& pass = tile.pass;
    RowUnits<Log, T> units(tile, bit);
    int step = ChunkElements<T> << bit;
#pragma unroll 1
    for (int unit = threadIdx.x; unit < units.count(); unit += blockDim.x)
    {
        int line = units.line(unit), vector = line / Lines;
        int element = ((line - vector * Lines) << pass.line_bits) + units.start(unit) * ChunkElements<T>;
        Chunk<T> v[Size];
#pragma unroll
        for (int i = 0; i < Size; i++)
            v[i] = tile.chunk(units.place(unit, i));
        row_levels<Log, T>(v, within);
        if (!before)
        {
#pragma unroll
            for (int i = 0; i < Size; i++)
                tile.multiply(v[i], element + i * step);
        }
        Out* target = y + vector * pass.y_stride + element;
#pragma unroll
        for (int i = 0; i < Size; i++)
            store_pack(target + i * step, convert_pack<Out>(v[i]));
    }
}

template <int Order, int Bits, bool Transposed, typename In, typename T, typename Out>
__device__ __forceinline__ void hadamard_rows(const RowPass& pass)
{
    extern __shared__ __align__(16) unsigned char memory[];
    constexpr int Lines = Order << Bits;
    int first = static_cast<int>(blockIdx.x) * pass.vectors;
    int vectors = min(pass.vectors, pass.rows - first);
    bool before = pass.scale != nullptr && pass.scale_after == 0;
    RowTile<T> tile{pass, reinterpret_cast<T*>(memory), vectors * Lines, pass.line_bits - ChunkBits<T>,
                    static_cast<T>(pass.norm)};
    load_lines<Order, Bits, Transposed>(tile, static_cast<const In*>(pass.x) + first * pass.x_stride, before);
    __syncthreads();

    bool within = true;    // the levels within chunks are still to do
    int bit = 0, end = tile.chunk_bits - pass.last_bits;
    while (bit < end)
    {
        int log = min(end - bit, pass.round_bits);
        switch (log)
        {
        case 1: row_round<1>(tile, bit, within); break;
        case 2: row_round<2>(tile, bit, within); break;
        default: row_round<3>(tile, bit, within); break;
        }
        __syncthreads();
        bit += log;
        within = false;
    }
    Out* y = static_cast<Out*>(pass.y) + first * pass.y_stride;
    switch (pass.last_bits)
    {
    case 0: store_lines<Lines, 0>(tile, y, bit, within, before); break;
    case 1: store_lines<Lines, 1>(tile, y, bit, within, before); break;
    case 2: store_lines<Lines, 2>(tile, y, bit, within, before); break;
    default: store_lines<Lines, 3>(tile, y, bit, within, before); break;
    }
}
