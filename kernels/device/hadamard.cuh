// The pieces of a Hadamard pass that work on a tile in shared memory: places, butterflies, the base matrix on tensor cores.
// Everything but the base moves whole chunks of 16 bytes.
#pragma once

#include "types.cuh"

constexpr int ChunkBytes = 16;
template <typename T> constexpr int ChunkElements = ChunkBytes / sizeof(T);
template <typename T> constexpr int ChunkBits = sizeof(T) == 8 ? 1 : 2;
template <typename T> using Chunk = Pack<T, ChunkElements<T>>;

// Where a tile's chunks lie in shared memory. Eight chunks side by side fill the banks once; the bits that differ between the chunks of
// eight neighbouring threads are mixed into the lowest three: those from bit 3 on within a block of the base, and the lowest two of the
// block's number. Linear: place(a + b) = place(a) ^ place(b) where a and b share no bit.
struct HadamardPlaces
{
    int mask, row_shift;

    // block_bits: log2 of the chunks of a block; 30 where there is no base.
    __device__ __forceinline__ explicit HadamardPlaces(int block_bits)
        : mask(block_bits >= 6 ? 7 : block_bits > 3 ? (1 << (block_bits - 3)) - 1 : 0), row_shift(block_bits >= 3 ? block_bits - 1 : 31)
    {
    }
    __device__ __forceinline__ int operator()(int chunk) const
    {
        return chunk ^ ((chunk >> 3) & mask) ^ ((chunk >> row_shift) & 6);
    }
};

// Sylvester's transform of 2^Log chunks, element by element, without a factor.
template <int Log, typename T> __device__ __forceinline__ void hadamard_butterflies(Chunk<T> (&v)[1 << Log])
{
#pragma unroll
    for (int level = 1; level < 1 << Log; level *= 2)
    {
#pragma unroll
        for (int i = 0; i < 1 << Log; i++)
        {
            if ((i & level) == 0)
            {
#pragma unroll
                for (int j = 0; j < ChunkElements<T>; j++)
                {
                    T a = v[i].values[j], b = v[i + level].values[j];
                    v[i].values[j] = a + b;
                    v[i + level].values[j] = a - b;
                }
            }
        }
    }
}

// The lowest `levels` levels, within a chunk.
template <typename T> __device__ __forceinline__ void hadamard_butterflies(Chunk<T>& v, int levels)
{
#pragma unroll
    for (int bit = 0; bit < ChunkBits<T>; bit++)
    {
        if (bit >= levels)
            break;
#pragma unroll
        for (int j = 0; j < ChunkElements<T>; j++)
        {
            if ((j >> bit & 1) == 0)
            {
                T a = v.values[j], b = v.values[j + (1 << bit)];
                v.values[j] = a + b;
                v.values[j + (1 << bit)] = a - b;
            }
        }
    }
}

// Units of 2^Log chunks that lie 2^bit apart.
template <int Log> struct HadamardUnits
{
    int bit, steps[Log > 0 ? Log : 1];

    __device__ __forceinline__ HadamardUnits(HadamardPlaces place, int bit) : bit(bit)
    {
#pragma unroll
        for (int t = 0; t < Log; t++)
            steps[t] = place(1 << (bit + t));
    }

    // The first chunk of a unit.
    __device__ __forceinline__ int start(int unit) const
    {
        int low = unit & ((1 << bit) - 1);
        return ((unit - low) << Log) | low;
    }

    // The place of chunk i, from that of the first.
    __device__ __forceinline__ int place(int first, int i) const
    {
#pragma unroll
        for (int t = 0; t < Log; t++)
            first ^= (i >> t) & 1 ? steps[t] : 0;
        return first;
    }
};

// ---- The base matrix ----

constexpr int HadamardLargestBase = 172;
constexpr int HadamardSignRows = 176;
constexpr int HadamardSignWords = (HadamardSignRows + 31) / 32 * HadamardSignRows;

// Bit k % 32 of word [k / 32][r]: whether entry (r, k) of the matrix that multiplies a column is -1.
struct HadamardSigns
{
    unsigned words[HadamardSignWords];
};

// Loads and stores are by address: from pointers the compiler would find out the block's window of shared memory time and again.
__device__ __forceinline__ unsigned shared_address(const void* shared)
{
    return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}

template <typename T> __device__ __forceinline__ T load_shared(unsigned address)
{
    T value;
    if constexpr (sizeof(T) == 8)
        asm volatile("ld.shared.f64 %0, [%1];" : "=d"(value) : "r"(address) : "memory");
    else
        asm volatile("ld.shared.f32 %0, [%1];" : "=f"(value) : "r"(address) : "memory");
    return value;
}

__device__ __forceinline__ void store_shared(unsigned address, float value)
{
    asm volatile("st.shared.f32 [%0], %1;" ::"r"(address), "f"(value) : "memory");
}

__device__ __forceinline__ void store_shared(unsigned address, double value)
{
    asm volatile("st.shared.f64 [%0], %1;" ::"r"(address), "d"(value) : "memory");
}

// Loads of what is read once, and of whole lines, of which the columns of a tile may be a part: the second level keeps the rest for the
// neighbours. Not L1::no_allocate: loads on their way need room in the first level, and have less of it with that.
template <typename T> __device__ __forceinline__ T load_once(const T* address)
{
    T value;
    if constexpr (sizeof(T) == 8)
        asm volatile("ld.global.L2::256B.f64 %0, [%1];" : "=d"(value) : "l"(address) : "memory");
    else if constexpr (sizeof(T) == 4)
        asm volatile("ld.global.L2::256B.f32 %0, [%1];" : "=f"(value) : "l"(address) : "memory");
    else
        asm volatile("ld.global.L2::256B.b16 %0, [%1];" : "=h"(reinterpret_cast<unsigned short&>(value)) : "l"(address) : "memory");
    return value;
}

__device__ __forceinline__ void cluster_barrier()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

// The two halves of a barrier that orders no memory, for threads of a warp that need not be together.
__device__ __forceinline__ void cluster_arrive()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory");
#endif
}

__device__ __forceinline__ void cluster_wait()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.wait;" ::: "memory");
#endif
}

#if __CUDA_ARCH__ >= 900
// The same address in the shared memory of another block of the cluster.
__device__ __forceinline__ unsigned remote_address(unsigned address, int rank)
{
    unsigned remote;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(address), "r"(rank));
    return remote;
}

__device__ __forceinline__ void store_remote(unsigned address, float value)
{
    asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(address), "f"(value) : "memory");
}

__device__ __forceinline__ void store_remote(unsigned address, double value)
{
    asm volatile("st.shared::cluster.f64 [%0], %1;" ::"r"(address), "d"(value) : "memory");
}

template <typename T> __device__ __forceinline__ Chunk<T> load_remote(unsigned address)
{
    uint4 words;
    asm volatile("ld.shared::cluster.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w) : "r"(address) : "memory");
    Chunk<T> chunk;
    memcpy(&chunk, &words, sizeof(chunk));
    return chunk;
}
#endif

__device__ __forceinline__ unsigned load_word(unsigned address)
{
    unsigned word;
    asm volatile("ld.shared.b32 %0, [%1];" : "=r"(word) : "r"(address) : "memory");
    return word;
}

// Takes the upper 8 bits of two values' mantissas off them, exactly.
__device__ __forceinline__ unsigned take_bf16(float& low, float& high)
{
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    low -= __uint_as_float(pair << 16);
    high -= __uint_as_float(pair & 0xFFFF0000u);
    return pair;
}

__device__ __forceinline__ void multiply_signs(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void multiply_signs(double (&d)[2], double a, double b)
{
    asm("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, {%0, %1};"
        : "+d"(d[0]), "+d"(d[1]) : "d"(a), "d"(b));
}

// A tile as columns of `base` elements, one of each block of 2^shift: element k of column c is element
// (c / 2^shift * base + k) * 2^shift + c % 2^shift. Elements k and k + 4 n of a column, k < 4, are n `step`s apart, for the order of a
// base is a multiple of 4, and places mix in but the lowest bits of a block's number.
template <typename T> struct HadamardColumns
{
    T* shared;
    HadamardPlaces place;
    int base, shift;

    __device__ __forceinline__ T* operator()(int column, int k) const
    {
        int element = (((column >> shift) * base + k) << shift) + (column & ((1 << shift) - 1));
        return shared + place(element >> ChunkBits<T>) * ChunkElements<T> + (element & (ChunkElements<T> - 1));
    }
    __device__ __forceinline__ int step() const { return 4 << shift; }
};

// Every column x becomes M x, `columns` of them.
//
// f32: x is the sum of three bf16 parts, M is exact in bf16, so products are exact; sums are f32, those of the large parts apart from those
// of the small ones, since tensor cores truncate. A warp has 8 columns: lane l + 4 g reads column g, and gets two rows of columns 2 l and
// 2 l + 1. A fragment's slots (k, k + 1, k + 8, k + 9) hold k = 32 block + 8 half + {0, 16, 4, 20} + l, which puts the two signs of a
// register 16 bits apart in a word.
__device__ __forceinline__ void hadamard_base(float* shared, HadamardPlaces place, const unsigned* signs, int base, int shift,
                                              int columns)
{
    constexpr int Tiles = (HadamardLargestBase + 15) / 16;
    HadamardColumns<float> at{shared, place, base, shift};
    int lane = threadIdx.x % 32, l = lane % 4, g = lane / 4, tiles = (base + 15) / 16, step = at.step() * sizeof(float) / 4;
    int row = (g & 4) | (g & 1) << 1 | (g & 2) >> 1;    // of a tile: swapped bits keep the stores of neighbours in different banks
    for (int start = threadIdx.x / 32 * 8; start < columns; start += blockDim.x / 32 * 8)
    {
        // Columns beyond the last are read somewhere, and not written.
        unsigned column = shared_address(at(min(start + g, columns - 1), l));
        float large[Tiles][4] = {}, small[Tiles][4] = {};
#pragma unroll 1
        for (int i = 0; i / 2 * 32 + i % 2 * 8 < base; i++)
        {
            int half = i % 2, source = i / 2 * 32 + 8 * half;
            float x[4];
#pragma unroll
            for (int j = 0; j < 4; j++)
            {
                int k = source + 4 * (j / 2) + 16 * (j % 2);
                x[j] = k < base ? load_shared<float>(column + k * step) : 0.0f;
            }
            unsigned parts[3][2];    // of [part][pair]
#pragma unroll
            for (int pair = 0; pair < 2; pair++)
            {
#pragma unroll
                for (int part = 0; part < 3; part++)
                    parts[part][pair] = take_bf16(x[2 * pair], x[2 * pair + 1]);
            }
            unsigned words = shared_address(signs + source / 32 * HadamardSignRows + row);
            int place_sign = 11 - 8 * half - l;    // puts the sign of pair 1 at bits 15 and 31, that of pair 0 four bits below
#pragma unroll
            for (int m = 0; m < Tiles; m++)
            {
                if (m >= tiles)
                    break;
                unsigned upper = load_word(words + 64 * m) << place_sign, lower = load_word(words + 64 * m + 32) << place_sign;
                auto ones = [](unsigned word) { return (word & 0x80008000u) | 0x3F803F80u; };
                unsigned a[4] = {ones(upper << 4), ones(lower << 4), ones(upper), ones(lower)};
                multiply_signs(small[m], a, parts[2][0], parts[2][1]);
                multiply_signs(small[m], a, parts[1][0], parts[1][1]);
                multiply_signs(large[m], a, parts[0][0], parts[0][1]);
            }
        }
        __syncwarp();
        int target = start + 2 * l;
        float* y = at(min(target, columns - 1), row);
#pragma unroll
        for (int m = 0; m < Tiles; m++)
        {
            if (m >= tiles)
                break;
#pragma unroll
            for (int half = 0; half < 2; half++)
            {
                int first = 16 * m + 8 * half;
                if (first + row >= base)
                    continue;
                float values[2] = {large[m][2 * half] + small[m][2 * half], large[m][2 * half + 1] + small[m][2 * half + 1]};
                if (target + 1 < columns && shift > 0)
                {
                    *reinterpret_cast<float2*>(y + first * at.step() / 4) = make_float2(values[0], values[1]);
                    continue;
                }
#pragma unroll
                for (int j = 0; j < 2; j++)
                {
                    if (target + j < columns)
                        *at(target + j, first + row) = values[j];
                }
            }
        }
        __syncwarp();
    }
}

// f64: a warp has 8 columns, lane l + 4 g reads column g and gets row g of columns 2 l and 2 l + 1.
__device__ __forceinline__ void hadamard_base(double* shared, HadamardPlaces place, const unsigned* signs, int base, int shift,
                                              int columns)
{
    constexpr int Tiles = (HadamardLargestBase + 7) / 8;
    HadamardColumns<double> at{shared, place, base, shift};
    int lane = threadIdx.x % 32, l = lane % 4, g = lane / 4, tiles = (base + 7) / 8, step = at.step();
    for (int start = threadIdx.x / 32 * 8; start < columns; start += blockDim.x / 32 * 8)
    {
        const double* source = at(min(start + g, columns - 1), l);
        double sums[Tiles][2] = {};
#pragma unroll 1
        for (int k = 0; k < base; k += 16)
        {
            double x[4];
#pragma unroll
            for (int i = 0; i < 4; i++)
                x[i] = k + 4 * i < base ? source[(k / 4 + i) * step] : 0.0;
            const unsigned* words = signs + k / 32 * HadamardSignRows + g;
#pragma unroll
            for (int m = 0; m < Tiles; m++)
            {
                if (m >= tiles)
                    break;
                unsigned word = words[8 * m] >> (k % 32 + l);
#pragma unroll
                for (int i = 0; i < 4; i++)
                {
                    unsigned sign = (word << (31 - 4 * i)) & 0x80000000u;
                    multiply_signs(sums[m], __hiloint2double(0x3FF00000u | sign, 0), x[i]);
                }
            }
        }
        __syncwarp();
        int target = start + 2 * l;
        double* y = at(min(target, columns - 1), g);
#pragma unroll
        for (int m = 0; m < Tiles; m++)
        {
            if (m >= tiles)
                break;
            if (8 * m + g >= base)
                continue;
            if (target + 1 < columns && shift > 0)
            {
                *reinterpret_cast<double2*>(y + 2 * m * step) = make_double2(sums[m][0], sums[m][1]);
                continue;
            }
#pragma unroll
            for (int i = 0; i < 2; i++)
            {
                if (target + i < columns)
                    *at(target + i, 8 * m + g) = sums[m][i];
            }
        }
        __syncwarp();
    }
}
