// Values of the 16-bit states of trellis codes: V weights each, exact float16 numbers. Codewords are made in pairs of
// adjacent columns, the first in the lower half: what an operand register of an mma with float16 inputs holds.
// Source  QTIP, arXiv:2406.11235, section 3.1, and EXL3; the same in C#: Codebooks/TrellisCodes.cs.
#pragma once

#include "reduce.cuh"

#include <cuda_fp16.h>
#include <stdint.h>

constexpr int TableEntries = 512;

// HYB, V = 2: of h = s (s + 1), bits 6 ... 14 choose an entry, bit 15 changes the first number's sign.
struct HybridParameters
{
    const uint32_t* table;      // of the checkpoint: entry i is two float16
};

// The table as it is. The whole block calls the constructor and synchronises before the first pair.
struct HybridCode
{
    static constexpr int Vector = 2;
    using Parameters = HybridParameters;

    const uint32_t* table;

    __device__ __forceinline__ explicit HybridCode(const Parameters& parameters)
    {
        __shared__ uint32_t shared_table[TableEntries];
        for (int i = threadIdx.x; i < TableEntries; i += blockDim.x)
            shared_table[i] = parameters.table[i];
        table = shared_table;
    }

    // Bits above the 16 of the state may hold anything.
    __device__ __forceinline__ uint32_t pair(uint32_t state) const
    {
        uint32_t hash = state * state + state;
        return table[hash / 64 % TableEntries] ^ (hash & 0x8000u);
    }
};

// Copies of the table side by side in shared memory: with one for every lane, no two lanes need the same bank. Signed:
// the entries of both signs, which saves the exclusive or.
template <int Copies, bool Signed, int Threads> struct ReplicatedHybridCode
{
    static constexpr int Vector = 2;
    static constexpr int Entries = Signed ? 2 * TableEntries : TableEntries;
    static constexpr int SharedBytes = Entries * Copies * 4;
    using Parameters = HybridParameters;

    const char* table;
    uint32_t lane;      // in bytes

    __device__ __forceinline__ ReplicatedHybridCode(const Parameters& parameters, char* memory) : table(memory)
    {
        // Of the special register: made of threadIdx.x, it would be masked again for every state.
        asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
        lane = lane % Copies * 4;
        constexpr int EntryVectors = Copies / 4, Vectors = TableEntries * EntryVectors / Threads;
        uint32_t entries[Vectors];
#pragma unroll
        for (int i = 0; i < Vectors; i++)
            entries[i] = parameters.table[(threadIdx.x + i * Threads) / EntryVectors];
#pragma unroll
        for (int i = 0; i < Entries / TableEntries * Vectors; i++)
        {
            uint32_t entry = entries[i % Vectors] ^ (i / Vectors * 0x8000u);
            reinterpret_cast<uint4*>(memory)[threadIdx.x + i * Threads] = make_uint4(entry, entry, entry, entry);
        }
    }

    __device__ __forceinline__ uint32_t pair(uint32_t state) const
    {
        constexpr uint32_t Mask = (Entries - 1) * Copies * 4;
        uint32_t hash = state * state + state;
        uint32_t offset = (hash * (Copies / 16) & Mask) | lane;
        uint32_t entry = *reinterpret_cast<const uint32_t*>(table + offset);
        return Signed ? entry : entry ^ (hash & 0x8000u);
    }
};

// The codes with V = 1 hash the state to x = s multiplier + addend. States have no bits above their 16.
struct ComputedCodeParameters
{
    uint32_t multiplier, addend;
    uint32_t sum_bits;        // of byte sums: float32 bits of 1.5 2^23, plus what is to be added to the sum
    float scale, offset;      // of that number
};

// 3INST and MCG: the sum of two float16 made of the halves of x.
struct HalfPairCode
{
    static constexpr int Vector = 1, SharedBytes = 0;
    using Parameters = ComputedCodeParameters;

    Parameters parameters;

    __device__ __forceinline__ explicit HalfPairCode(const Parameters& given, char* = nullptr) : parameters(given) {}

    __device__ __forceinline__ uint32_t pair(uint32_t first, uint32_t second) const
    {
        return __byte_perm(sum(first), sum(second), 0x5410);
    }

private:
    // Twice the sum of the halves, which a float16 addition can choose of one register without another instruction.
    __device__ __forceinline__ uint32_t sum(uint32_t state) const
    {
        uint32_t x = state * parameters.multiplier + parameters.addend, terms;
        asm("lop3.b32 %0, %1, %2, %3, 0x6a;" : "=r"(terms) : "r"(x), "r"(0x8fff8fffu), "r"(0x3b603b60u));
        __half2 halves = *reinterpret_cast<__half2*>(&terms);
        __half2 sums = __hadd2_rn(__low2half2(halves), __high2half2(halves));
        return *reinterpret_cast<uint32_t*>(&sums);
    }
};

// 1MAD and MUL1: a linear function of the sum B of the four bytes of x. Added to the bits of 1.5 2^23, whose last place
// is 1, an integer is a float32; its product and the offset have no more bits than float32, so the function is exact.
struct ByteSumCode
{
    static constexpr int Vector = 1, SharedBytes = 0;
    using Parameters = ComputedCodeParameters;

    Parameters parameters;

    __device__ __forceinline__ explicit ByteSumCode(const Parameters& given, char* = nullptr) : parameters(given) {}

    __device__ __forceinline__ uint32_t pair(uint32_t first, uint32_t second) const
    {
        __half2 values = __floats2half2_rn(value(first), value(second));
        return *reinterpret_cast<uint32_t*>(&values);
    }

private:
    __device__ __forceinline__ float value(uint32_t state) const
    {
        uint32_t x = state * parameters.multiplier + parameters.addend;
        float sum = __uint_as_float(__dp4a(x, 0x01010101u, parameters.sum_bits));
        return fmaf(sum, parameters.scale, parameters.offset);
    }
};

__device__ __forceinline__ float2 codeword(uint32_t pair)
{
    __half2_raw raw;
    raw.x = static_cast<unsigned short>(pair);
    raw.y = static_cast<unsigned short>(pair >> 16);
    return __half22float2(raw);
}
