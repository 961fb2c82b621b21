// Element types, conversions between them, and packs of adjacent elements that are loaded and stored at once.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using bf16 = __nv_bfloat16;

template <typename A, typename B> constexpr bool IsSame = false;
template <typename A> constexpr bool IsSame<A, A> = true;

// The float32 neighbour of a float64 toward zero, with its last bit set where it is not exact ("round to odd"):
// rounding that to bf16 equals rounding the float64 once, because float32 has more than two bits beyond bf16.
__device__ __forceinline__ float round_to_odd(double value)
{
    float lower = __double2float_rz(value);
    bool inexact = static_cast<double>(lower) != value && value == value;
    return __uint_as_float(__float_as_uint(lower) | (inexact ? 1u : 0u));
}

// Converts between float, double, bf16 and half: widening is exact, narrowing rounds once, to nearest even.
template <typename To, typename From> __device__ __forceinline__ To convert(From value)
{
    if constexpr (IsSame<To, From>)
        return value;
    else if constexpr (IsSame<From, bf16>)
        return convert<To>(__bfloat162float(value));
    else if constexpr (IsSame<From, half>)
        return convert<To>(__half2float(value));
    else if constexpr (IsSame<To, bf16>)
        return __float2bfloat16_rn(IsSame<From, double> ? round_to_odd(value) : static_cast<float>(value));
    else if constexpr (IsSame<To, half> && IsSame<From, double>)
        return __double2half(value);
    else if constexpr (IsSame<To, half>)
        return __float2half_rn(value);
    else
        return static_cast<To>(value);
}

// N adjacent elements, aligned to their size in bytes but at most 16: one load for every 16 bytes.
template <typename T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack
{
    T values[N];
};

template <typename To, typename From, int N> __device__ __forceinline__ Pack<To, N> convert_pack(const Pack<From, N>& pack)
{
    Pack<To, N> result;
#pragma unroll
    for (int i = 0; i < N; i++)
        result.values[i] = convert<To>(pack.values[i]);
    return result;
}

template <int N, typename T> __device__ __forceinline__ Pack<T, N> load_pack(const T* address)
{
    return *reinterpret_cast<const Pack<T, N>*>(address);
}

// One store for every 16 bytes, in assembly: the compiler would store values that it has in halves of registers one by one.
template <int N, typename T> __device__ __forceinline__ void store_pack(T* address, const Pack<T, N>& pack)
{
    if constexpr (sizeof(pack) % 16 == 0)
    {
        uint4 words[sizeof(pack) / 16];
        memcpy(words, &pack, sizeof(pack));
#pragma unroll
        for (int i = 0; i < static_cast<int>(sizeof(pack) / 16); i++)
            asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(reinterpret_cast<uint4*>(address) + i),
                         "r"(words[i].x), "r"(words[i].y), "r"(words[i].z), "r"(words[i].w)
                         : "memory");
    }
    else
    {
        *reinterpret_cast<Pack<T, N>*>(address) = pack;
    }
}
