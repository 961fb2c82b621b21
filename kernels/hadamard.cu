// hadamard: v <- (v * scale) U or v <- (v U^T) * scale, v the vectors of a matrix; U = (H_base (x) H_2^p) / sqrt(size).
//           Kernels named by two types read the vectors of one matrix and write those of another: whole rows only.
// Shapes    Any. U is a product, so a pass may do a part of 2^p, with the base or without it; it reads and writes once.
//           rows: a block has `outer` vectors of `inner` adjacent elements, `outer_stride` apart.
//           strips: a block has vectors of `outer` elements, `outer_stride` apart, for `inner` adjacent columns, a power of two.
//           A matrix is cut into groups, a group into strips, one for each block or, of a strip, cluster; the last one ends at `limit`.
//           The blocks of a cluster share out 2^p by its highest bits, and read each other's shared memory for the last levels.
//           aligned: matrices, scale and all rows begin at multiples of 16 bytes, and `inner` and `limit` are multiples of as many elements.
// Launch    grid (groups * strips << cluster_bits), clusters of 1 << cluster_bits (strips, aligned, 2^p >= 8 only), block (a multiple
//           of 32, <= 256), dynamic shared memory: a block's elements, rounded up to 128 bytes.
// Numerics  sums in the element type. Base in f32: bf16 products on tensor cores (device/hadamard.cuh), as exact as f32 sums are.
// Source    QuIP#, arXiv:2402.04396, section 3.
#include "device/hadamard.cuh"

constexpr int HadamardThreads = 256;    // at most
constexpr int RoundBits = 3;            // levels of a round in shared memory: a thread has 8 chunks

struct HadamardPass
{
    void* x;
    const void* source;                       // of kernels named by two types
    const float* scale;                       // null: ones
    size_t group_stride, strip_stride, outer_stride, source_strip_stride, source_outer_stride;
    int scale_group, scale_strip, scale_outer, scale_inner;   // steps of an element's position on the whole axis
    int strips, outer, inner, limit;          // limit: vectors (rows) or columns (strips) of a group
    int power, base;                          // sizes of the factors in this pass, of the whole cluster
    int cluster_bits;                         // log2 of the blocks of a cluster, which share a strip
    int scale_after, aligned;
    unsigned inner_inverse;                   // 2^32 / inner, rounded up
    double norm;
};

template <typename T, bool Strip, typename In, typename Out> struct HadamardTile
{
    static constexpr bool InPlace = IsSame<In, T> && IsSame<Out, T>;

    const HadamardPass& pass;
    Chunk<T>* shared;
    HadamardPlaces place;
    Out* x;
    const In* source;
    const float* scale;
    int rank, valid, elements, inner_bits, power_bits;   // log2 of inner (strips) and of the block's part of the power
    T norm;

    // Where local element i lies: vector or axis element o of the block's strip, and n within.
    __device__ __forceinline__ void split(int i, int& o, int& n) const
    {
        if constexpr (Strip)
        {
            o = i >> inner_bits;
            n = i & (pass.inner - 1);
            // The blocks of a cluster interleave by runs of the local power.
            o += ((o >> power_bits) * ((1 << pass.cluster_bits) - 1) + rank) << power_bits;
        }
        else
        {
            o = pass.inner == 1 ? i : static_cast<int>(__umulhi(i, pass.inner_inverse));    // exact: i inner < 2^32
            n = i - o * pass.inner;
        }
    }
    __device__ __forceinline__ const float* factors(int o, int n) const
    {
        return scale + static_cast<size_t>(o) * pass.scale_outer + n * pass.scale_inner;
    }
    __device__ __forceinline__ Out* address(int o, int n) const { return x + o * pass.outer_stride + n; }
    __device__ __forceinline__ size_t source_stride() const { return InPlace ? pass.outer_stride : pass.source_outer_stride; }

    __device__ __forceinline__ int chunks() const { return (elements + ChunkElements<T> - 1) / ChunkElements<T>; }
    __device__ __forceinline__ T& element(int i) const
    {
        return shared[place(i >> ChunkBits<T>)].values[i & (ChunkElements<T> - 1)];
    }
    // Chunks 2^bit apart are 2^axis_bit apart on the axis of a strip; their factors are axis_step apart.
    __device__ __forceinline__ int axis_bit(int bit) const { return bit + ChunkBits<T> - inner_bits; }
    __device__ __forceinline__ int axis_step(int bit) const
    {
        return Strip ? pass.scale_outer << axis_bit(bit) : ChunkElements<T> << bit;
    }

    // The chunk at (o, n) times scale and norm.
    __device__ __forceinline__ void multiply(Chunk<T>& v, const float* factors) const
    {
        Pack<float, ChunkElements<T>> scales;
        if (Strip && pass.scale_inner == 0)
        {
            float same = *factors;
#pragma unroll
            for (int j = 0; j < ChunkElements<T>; j++)
                scales.values[j] = same;
        }
        else
        {
            scales = load_pack<ChunkElements<T>>(factors);
        }
#pragma unroll
        for (int j = 0; j < ChunkElements<T>; j++)
            v.values[j] *= norm * static_cast<T>(scales.values[j]);
    }
};

// Global to shared memory. Aligned: all of it is under way before the first is needed. Else: an element at a time, and scaled.
template <typename T, bool Strip, typename In, typename Out>
__device__ __forceinline__ void hadamard_load(const HadamardTile<T, Strip, In, Out>& tile, bool before)
{
    int o = 0, n = 0;
    if (tile.pass.aligned)
    {
        // Rows mostly lie without gaps: then an element's offset is its number.
        size_t gap = Strip ? 0 : tile.source_stride() - tile.pass.inner;
#pragma unroll 4
        for (int i = threadIdx.x; i < tile.elements / ChunkElements<T>; i += blockDim.x)
        {
            int first = i * ChunkElements<T>;
            const In* source = tile.source + first;
            if (Strip || gap != 0)
            {
                tile.split(first, o, n);
                source += Strip ? o * tile.source_stride() + n - first : o * gap;
            }
            Chunk<T>* target = tile.shared + tile.place(i);
            if constexpr (!IsSame<In, T>)
                *target = convert_pack<T>(load_pack<ChunkElements<T>>(source));
            // The rest of a strip's lines belongs to the next strips, which other blocks read now.
            else if (!Strip || n < tile.valid)
                asm volatile("cp.async.cg.shared.global.L2::256B [%0], [%1], 16;"
                             ::"r"(shared_address(target)), "l"(source) : "memory");
        }
        asm volatile("cp.async.wait_all;" ::: "memory");
        return;
    }
#pragma unroll 1
    for (int i = threadIdx.x; i < tile.elements; i += blockDim.x)
    {
        tile.split(i, o, n);
        T value = n < tile.valid ? convert<T>(tile.source[o * tile.source_stride() + n]) : T(0);
        tile.element(i) = before ? value * tile.norm * static_cast<T>(*tile.factors(o, n)) : value;
    }
}

// Shared to global memory an element at a time, where that is not aligned.
template <typename T, bool Strip, typename In, typename Out>
__device__ __forceinline__ void hadamard_store(const HadamardTile<T, Strip, In, Out>& tile, bool before)
{
    int o, n;
#pragma unroll 1
    for (int i = threadIdx.x; i < tile.elements; i += blockDim.x)
    {
        tile.split(i, o, n);
        T factor = before ? T(1) : tile.scale == nullptr ? tile.norm : tile.norm * static_cast<T>(*tile.factors(o, n));
        if (n < tile.valid)
            *tile.address(o, n) = convert<Out>(tile.element(i) * factor);
    }
}

template <int Log, typename T> __device__ __forceinline__ void hadamard_levels(Chunk<T> (&v)[1 << Log], int inner_levels)
{
    if (inner_levels > 0)
    {
#pragma unroll
        for (int i = 0; i < 1 << Log; i++)
            hadamard_butterflies<T>(v[i], inner_levels);
    }
    hadamard_butterflies<Log, T>(v);
}

// Log levels between chunks 2^bit apart in shared memory, after those within chunks and the scale where they are wanted.
template <int Log, typename T, bool Strip, typename In, typename Out>
__device__ __forceinline__ void hadamard_round(const HadamardTile<T, Strip, In, Out>& tile, int bit, int inner_levels, bool scaled)
{
    constexpr int Size = 1 << Log;
    HadamardUnits<Log> units(tile.place, bit);
    int step = tile.axis_step(bit);
    for (int unit = threadIdx.x; unit < tile.chunks() >> Log; unit += blockDim.x)
    {
        int start = units.start(unit), first = tile.place(start);
        Chunk<T> v[Size];
#pragma unroll
        for (int i = 0; i < Size; i++)
            v[i] = tile.shared[units.place(first, i)];
        if (scaled)
        {
            int o, n;
            tile.split(start * ChunkElements<T>, o, n);
            const float* factors = tile.factors(o, n);
#pragma unroll
            for (int i = 0; i < Size; i++)
                tile.multiply(v[i], factors + i * step);
        }
        hadamard_levels<Log, T>(v, inner_levels);
#pragma unroll
        for (int i = 0; i < Size; i++)
            tile.shared[units.place(first, i)] = v[i];
    }
}

// The last levels, and the way out: Log levels, and with ClusterBits those over the blocks, each of which writes its share.
template <int Log, int ClusterBits, typename T, bool Strip, typename In, typename Out>
__device__ __forceinline__ void hadamard_last(const HadamardTile<T, Strip, In, Out>& tile, int bit, int inner_levels, bool before)
{
    constexpr int Size = 1 << Log, Ranks = 1 << ClusterBits;
    const HadamardPass& pass = tile.pass;
    HadamardUnits<Log> units(tile.place, bit);
    int step = tile.axis_step(bit);
    size_t address_step = Strip ? pass.outer_stride << tile.axis_bit(bit) : size_t(ChunkElements<T>) << bit;
    int count = tile.chunks() >> Log, share = (count + Ranks - 1) / Ranks, end = min(count, (tile.rank + 1) * share);
#if __CUDA_ARCH__ >= 900
    unsigned remote[Ranks];
#pragma unroll
    for (int rank = 0; rank < Ranks; rank++)
        remote[rank] = Ranks > 1 ? remote_address(shared_address(tile.shared), rank) : 0;
#endif
    for (int unit = tile.rank * share + threadIdx.x; unit < end; unit += blockDim.x)
    {
        int start = units.start(unit), first = tile.place(start), o, n;
        tile.split(start * ChunkElements<T>, o, n);
        if (Strip && n >= tile.valid)
            continue;
        Chunk<T> v[Size * Ranks];
#pragma unroll
        for (int i = 0; i < Size; i++)
        {
            int place = units.place(first, i);
            if constexpr (Ranks == 1)
                v[i] = tile.shared[place];
#if __CUDA_ARCH__ >= 900
            else
            {
#pragma unroll
                for (int rank = 0; rank < Ranks; rank++)
                    v[rank * Size + i] = load_remote<T>(remote[rank] + place * ChunkBytes);
            }
#endif
        }
        hadamard_levels<Log + ClusterBits, T>(v, inner_levels);

        if constexpr (Ranks > 1)
            o -= tile.rank << tile.power_bits;
#pragma unroll
        for (int rank = 0; rank < Ranks; rank++)
        {
            Out* target = tile.address(o, n);
            const float* factors = tile.factors(o, n);
#pragma unroll
            for (int i = 0; i < Size; i++)
            {
                Chunk<T>& chunk = v[rank * Size + i];
                if (!before && tile.scale != nullptr)
                {
                    tile.multiply(chunk, factors);
                }
                else if (!before)
                {
#pragma unroll
                    for (int j = 0; j < ChunkElements<T>; j++)
                        chunk.values[j] *= tile.norm;
                }
                store_pack(target, convert_pack<Out>(chunk));
                target += address_step;
                factors += step;
            }
            o += 1 << tile.power_bits;
        }
    }
}

template <typename T, bool Strip, bool Base, typename In, typename Out>
__device__ __forceinline__ void hadamard(const HadamardPass& pass, const HadamardSigns* base_signs)
{
    extern __shared__ __align__(16) unsigned char memory[];
    __shared__ unsigned signs[Base ? HadamardSignWords : 1];

    int item = blockIdx.x >> pass.cluster_bits, rank = blockIdx.x & ((1 << pass.cluster_bits) - 1);
    int group = item / pass.strips, strip = item % pass.strips;
    int outer = Strip ? pass.outer : min(pass.outer, pass.limit - strip * pass.outer);
    int power_bits = 31 - __clz(pass.power) - pass.cluster_bits, inner_bits = Strip ? 31 - __clz(pass.inner) : 0;
    int block_bits = power_bits + inner_bits;    // elements of a block of the base
    const float* scale = pass.scale == nullptr ? nullptr
        : pass.scale + static_cast<size_t>(group) * pass.scale_group + static_cast<size_t>(strip) * pass.scale_strip;
    Out* x = static_cast<Out*>(pass.x) + group * pass.group_stride + strip * pass.strip_stride;
    const In* source = nullptr;
    if constexpr (HadamardTile<T, Strip, In, Out>::InPlace)
        source = x;
    else
        source = static_cast<const In*>(pass.source) + strip * pass.source_strip_stride;
    HadamardTile<T, Strip, In, Out> tile{
        pass, reinterpret_cast<Chunk<T>*>(memory), HadamardPlaces(Base ? block_bits - ChunkBits<T> : 30), x, source, scale,
        rank, Strip ? min(pass.inner, pass.limit - strip * pass.inner) : pass.inner, outer * pass.inner, inner_bits,
        power_bits, static_cast<T>(pass.norm)};
    if constexpr (Base)
    {
        for (int i = threadIdx.x; i < (pass.base + 31) / 32 * HadamardSignRows; i += blockDim.x)
            signs[i] = base_signs->words[i];
    }
    bool before = scale != nullptr && pass.scale_after == 0;    // the scale and the norm come first, else last
    hadamard_load(tile, before);
    __syncthreads();

    // Rounds in shared memory leave the last one what it can do on the way out. The base sits between them.
    int inner_levels = Strip ? 0 : min(power_bits, ChunkBits<T>), levels = power_bits - inner_levels;
    int bit = Strip ? inner_bits - ChunkBits<T> : 0, last = pass.aligned ? min(levels, RoundBits - pass.cluster_bits) : 0;
    bool scaled = before && pass.aligned;
    for (int left = levels - last; left > 0 || scaled || (inner_levels > 0 && (Base || !pass.aligned));)
    {
        int log = min(left, RoundBits);
        switch (log)
        {
        case 0: hadamard_round<0>(tile, bit, inner_levels, scaled); break;
        case 1: hadamard_round<1>(tile, bit, inner_levels, scaled); break;
        case 2: hadamard_round<2>(tile, bit, inner_levels, scaled); break;
        default: hadamard_round<3>(tile, bit, inner_levels, scaled); break;
        }
        __syncthreads();
        left -= log;
        bit += log;
        inner_levels = 0;
        scaled = false;
    }
    if constexpr (Base)
    {
        hadamard_base(reinterpret_cast<T*>(memory), tile.place, signs, pass.base, block_bits, (Strip ? 1 : outer) << block_bits);
        __syncthreads();
    }
    if (!pass.aligned)
    {
        hadamard_store(tile, before);
        return;
    }
#if __CUDA_ARCH__ >= 900
    if constexpr (Strip)
    {
        if (pass.cluster_bits > 0)
        {
            cluster_barrier();
            switch (pass.cluster_bits)
            {
            case 1: hadamard_last<RoundBits - 1, 1>(tile, bit, 0, before); break;
            case 2: hadamard_last<RoundBits - 2, 2>(tile, bit, 0, before); break;
            default: hadamard_last<RoundBits - 3, 3>(tile, bit, 0, before); break;
            }
            cluster_barrier();    // No block may end while others read it.
            return;
        }
    }
#endif
    switch (last)
    {
    case 0: hadamard_last<0, 0>(tile, bit, inner_levels, before); break;
    case 1: hadamard_last<1, 0>(tile, bit, inner_levels, before); break;
    case 2: hadamard_last<2, 0>(tile, bit, inner_levels, before); break;
    default: hadamard_last<3, 0>(tile, bit, inner_levels, before); break;
    }
}

// Two blocks, at least, on a multiprocessor: one loads while the other computes.
#define HADAMARD(NAME, STRIP, In, T, Out)                                                                              \
    extern "C" __global__ void __launch_bounds__(HadamardThreads, 2) hadamard_##NAME(                                  \
        const __grid_constant__ HadamardPass pass)                                                                     \
    {                                                                                                                  \
        hadamard<T, STRIP, false, In, Out>(pass, nullptr);                                                             \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(HadamardThreads, 2) hadamard_base_##NAME(                             \
        const __grid_constant__ HadamardPass pass, const __grid_constant__ HadamardSigns signs)                        \
    {                                                                                                                  \
        hadamard<T, STRIP, true, In, Out>(pass, &signs);                                                               \
    }

HADAMARD(rows_f32, false, float, float, float)
HADAMARD(rows_bf16_f32, false, bf16, float, float)
HADAMARD(rows_f32_bf16, false, float, float, bf16)
HADAMARD(rows_f64, false, double, double, double)
HADAMARD(strips_f32, true, float, float, float)
HADAMARD(strips_f64, true, double, double, double)
