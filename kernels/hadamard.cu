// hadamard: v <- (v * scale) U or v <- (v U^T) * scale, v the vectors of a matrix; U = (H_base (x) H_2^p) / sqrt(size).
// Shapes    Any. U is a product, so a pass may do a part of 2^p, with the base or without it; it reads and writes once.
//           rows: a block has `outer` vectors of `inner` adjacent elements, `outer_stride` apart.
//           strips: a block has vectors of `outer` elements, `outer_stride` apart, for 128 bytes of adjacent columns.
//           A matrix is cut into groups, a group into strips, one for each block; the last strip ends at `limit`.
// Launch    grid (groups * strips), block (512), dynamic shared memory: a block's elements and one more for every 32.
// Numerics  sums in the element type; those of the base in the order of k.
// Source    QuIP#, arXiv:2402.04396, section 3.
#include "device/hadamard.cuh"

constexpr int HadamardThreads = 512;
constexpr int StripBytes = 128;
constexpr int LoadBatch = 4;
constexpr int MixOutputs = 8;                 // sums of one thread: their signs are one byte
constexpr int LargestBase = 172;
constexpr int SignWords = (LargestBase * ((LargestBase + MixOutputs - 1) / MixOutputs) + 3) / 4;

struct HadamardPass
{
    void* x;
    const float* scale;                       // null: ones
    size_t group_stride, strip_stride, outer_stride;
    int scale_group, scale_strip, scale_outer, scale_inner;   // steps of an element's position on the whole axis
    int strips, outer, inner, limit;          // limit: vectors (rows) or columns (strips) of a group
    int power, base;                          // sizes of the factors in this pass
    int scale_after;
    double norm;
};

// Byte [k * ceil(base/8) + r/8], bit r%8: whether entry (r, k) is negative.
struct HadamardSigns
{
    unsigned words[SignWords];
};

template <typename T, bool Strip, bool Base>
__device__ __forceinline__ void hadamard(const HadamardPass& pass, const HadamardSigns* base_signs)
{
    extern __shared__ __align__(16) unsigned char memory[];
    __shared__ __align__(4) unsigned char signs[Base ? 4 * SignWords : 1];
    constexpr int Width = StripBytes / sizeof(T);
    constexpr int MixColumns = sizeof(T) == sizeof(double) ? 2 : 4;

    T* shared = reinterpret_cast<T*>(memory);
    int group = blockIdx.x / pass.strips, strip = blockIdx.x % pass.strips;
    int outer = Strip ? pass.outer : min(pass.outer, pass.limit - strip * pass.outer);
    int inner = Strip ? Width : pass.inner;
    int valid = Strip ? min(Width, pass.limit - strip * Width) : inner;
    int elements = outer * inner;
    T* x = static_cast<T*>(pass.x) + group * pass.group_stride + strip * pass.strip_stride;
    const float* scale = pass.scale == nullptr ? nullptr
        : pass.scale + static_cast<size_t>(group) * pass.scale_group + static_cast<size_t>(strip) * pass.scale_strip;
    bool before = scale != nullptr && pass.scale_after == 0, after = scale != nullptr && pass.scale_after != 0;
    T norm = static_cast<T>(pass.norm);
    auto outer_index = [&](int i) { return Strip ? i / Width : pass.outer == 1 ? 0 : i / inner; };

    if constexpr (Base)
    {
        int words = (pass.base * ((pass.base + MixOutputs - 1) / MixOutputs) + 3) / 4;
        for (int i = threadIdx.x; i < words; i += HadamardThreads)
            reinterpret_cast<uchar4*>(signs)[i] = *reinterpret_cast<const uchar4*>(&base_signs->words[i]);
    }

    // All loads of a batch are on their way before the first is needed.
    for (int start = threadIdx.x; start < elements; start += LoadBatch * HadamardThreads)
    {
        T values[LoadBatch];
        float scales[LoadBatch];
#pragma unroll
        for (int b = 0; b < LoadBatch; b++)
        {
            int i = start + b * HadamardThreads, o = outer_index(i), n = i - o * inner;
            bool exists = i < elements && n < valid;
            values[b] = exists ? x[o * pass.outer_stride + n] : T(0);
            scales[b] = exists && before ? scale[o * pass.scale_outer + n * pass.scale_inner] : 1.0f;
        }
#pragma unroll
        for (int b = 0; b < LoadBatch; b++)
        {
            int i = start + b * HadamardThreads;
            if (i < elements)
                shared[hadamard_offset(i)] = values[b] * static_cast<T>(scales[b]);
        }
    }
    __syncthreads();
    hadamard_sylvester(shared, elements, Strip ? Width : 1, Strip ? Width * pass.power : pass.power);

    auto store = [&](int i, T value)
    {
        int o = outer_index(i), n = i - o * inner;
        if (n < valid)
        {
            T factor = after ? norm * static_cast<T>(scale[o * pass.scale_outer + n * pass.scale_inner]) : norm;
            x[o * pass.outer_stride + n] = value * factor;
        }
    };
    if constexpr (!Base)
    {
#pragma unroll 4
        for (int i = threadIdx.x; i < elements; i += HadamardThreads)
            store(i, shared[hadamard_offset(i)]);
    }
    else
    {
        // A thread sums MixOutputs outputs at MixColumns positions of the base's blocks, `apart` from each other.
        int block = Strip ? Width * pass.power : pass.power, chunks = (pass.base + MixOutputs - 1) / MixOutputs;
        int apart = max(1, block / MixColumns), shift = 31 - __clz(apart), vectors = elements / (pass.base * block);
        for (int item = threadIdx.x; item < vectors * chunks * apart; item += HadamardThreads)
        {
            int column = item & (apart - 1), rest = item >> shift, chunk = rest % chunks;
            int first = rest / chunks * pass.base * block + column;
            T sums[MixOutputs][MixColumns] = {};
            for (int k = 0; k < pass.base; k++)
            {
                unsigned bits = signs[k * chunks + chunk];
                T values[MixColumns];
#pragma unroll
                for (int c = 0; c < MixColumns; c++)
                {
                    int place = column + c * apart < block ? first + k * block + c * apart : -1;
                    values[c] = place < 0 ? T(0) : shared[hadamard_offset(place)];
                }
#pragma unroll
                for (int r = 0; r < MixOutputs; r++)
                {
                    T sign = hadamard_sign<T>(bits, r);
#pragma unroll
                    for (int c = 0; c < MixColumns; c++)
                        sums[r][c] += sign * values[c];
                }
            }
#pragma unroll
            for (int r = 0; r < MixOutputs; r++)
            {
#pragma unroll
                for (int c = 0; c < MixColumns; c++)
                {
                    int output = chunk * MixOutputs + r;
                    if (output < pass.base && column + c * apart < block)
                        store(first + output * block + c * apart, sums[r][c]);
                }
            }
        }
    }
}

#define HADAMARD(NAME, STRIP, T)                                                                                       \
    extern "C" __global__ void __launch_bounds__(HadamardThreads) hadamard_##NAME(                                     \
        const __grid_constant__ HadamardPass pass)                                                                     \
    {                                                                                                                  \
        hadamard<T, STRIP, false>(pass, nullptr);                                                                      \
    }

#define HADAMARD_BASE(NAME, STRIP, T)                                                                                  \
    extern "C" __global__ void __launch_bounds__(HadamardThreads) hadamard_##NAME(                                     \
        const __grid_constant__ HadamardPass pass, const __grid_constant__ HadamardSigns signs)                        \
    {                                                                                                                  \
        hadamard<T, STRIP, true>(pass, &signs);                                                                        \
    }

HADAMARD(rows_f32, false, float)
HADAMARD(rows_f64, false, double)
HADAMARD(strips_f32, true, float)
HADAMARD(strips_f64, true, double)
HADAMARD_BASE(rows_base_f32, false, float)
HADAMARD_BASE(rows_base_f64, false, double)
HADAMARD_BASE(strips_base_f32, true, float)
HADAMARD_BASE(strips_base_f64, true, double)
