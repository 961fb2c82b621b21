// The pieces of a Hadamard pass that are done in shared memory: butterflies of the power of two, sums of signs of the
// base.
#pragma once

// Offset in shared memory of element i: one place is left free after every 32, so that neighbours 16 apart lie in
// different banks.
__device__ __forceinline__ int hadamard_offset(int i)
{
    return i + (i >> 5);
}

// log2(Radix) levels: every thread takes Radix elements that lie stride apart, stride a power of two.
template <typename T, int Radix>
__device__ __forceinline__ void hadamard_butterflies(T* shared, int elements, int stride)
{
    int shift = 31 - __clz(stride);
    for (int unit = threadIdx.x; unit < elements / Radix; unit += blockDim.x)
    {
        int first = (unit >> shift) * (stride * Radix) + (unit & (stride - 1));
        T v[Radix];
#pragma unroll
        for (int i = 0; i < Radix; i++)
            v[i] = shared[hadamard_offset(first + i * stride)];
#pragma unroll
        for (int level = 1; level < Radix; level *= 2)
        {
#pragma unroll
            for (int i = 0; i < Radix; i++)
            {
                if ((i & level) == 0)
                {
                    T a = v[i], b = v[i + level];
                    v[i] = a + b;
                    v[i + level] = a - b;
                }
            }
        }
#pragma unroll
        for (int i = 0; i < Radix; i++)
            shared[hadamard_offset(first + i * stride)] = v[i];
    }
    __syncthreads();
}

// Sylvester's transform, without a factor, of every run of `end` elements whose neighbours lie `stride` apart.
template <typename T> __device__ __forceinline__ void hadamard_sylvester(T* shared, int elements, int stride, int end)
{
    for (; end / stride >= 16; stride *= 16)
        hadamard_butterflies<T, 16>(shared, elements, stride);
    if (end / stride == 8)
        hadamard_butterflies<T, 8>(shared, elements, stride);
    else if (end / stride == 4)
        hadamard_butterflies<T, 4>(shared, elements, stride);
    else if (end / stride == 2)
        hadamard_butterflies<T, 2>(shared, elements, stride);
}

// +1, or -1 where bit `bit` (below 8) is set.
template <typename T> __device__ __forceinline__ T hadamard_sign(unsigned bits, int bit)
{
    unsigned sign = (bits << (31 - bit)) & 0x80000000u;
    if constexpr (sizeof(T) == sizeof(double))
        return __hiloint2double(0x3FF00000u | sign, 0);
    else
        return __uint_as_float(0x3F800000u | sign);
}
