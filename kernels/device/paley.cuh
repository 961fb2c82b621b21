// Products with Paley's Hadamard matrices of order 12, 20, 28 and 36 in the registers of a thread. The signs are known to the compiler.
// Source: Paley, On orthogonal matrices, 1933. The entries are those of PaleyMatrix.cs: the backend compares.
#pragma once

__device__ constexpr int quadratic_character(int difference, int prime)
{
    int a = (difference % prime + prime) % prime;
    for (int x = 1; x < prime; x++)
    {
        if (x * x % prime == a)
            return 1;
    }
    return a == 0 ? 0 : -1;
}

// Whether entry (i, j) is -1. Orders 12 and 20: the first construction, [[1, -1], [1, Q + I]]; 28 and 36: the second,
// [[S + I, S - I], [S - I, -S - I]] of S = [[0, 1], [1, Q]]; Q has the characters of i - j.
__device__ constexpr bool paley_is_negative(int order, int i, int j)
{
    bool second = order > 20;
    int half = second ? order / 2 : order, r = i % half, c = j % half;
    if (r == c)
        return second && (i >= half || j >= half);
    int s = c == 0 ? 1 : r == 0 ? (second ? 1 : -1) : quadratic_character(r - c, half - 1);
    return (second && i >= half && j >= half ? -s : s) < 0;
}

// Bit k of lines[r]: whether x[k] is subtracted in output r.
template <int Order> struct PaleySigns
{
    unsigned long long lines[Order];
};

template <int Order, bool Transposed> __device__ constexpr PaleySigns<Order> paley_signs()
{
    PaleySigns<Order> signs{};
    for (int r = 0; r < Order; r++)
    {
        for (int k = 0; k < Order; k++)
        {
            if (Transposed ? paley_is_negative(Order, r, k) : paley_is_negative(Order, k, r))
                signs.lines[r] |= 1ull << k;
        }
    }
    return signs;
}

// x <- x M, or x M^T. The part of four elements in an output is one of eight sums or its negative, so an output needs Order / 4 additions.
template <int Order, bool Transposed, typename T> __device__ __forceinline__ void multiply_paley(T (&x)[Order])
{
    constexpr PaleySigns<Order> signs = paley_signs<Order, Transposed>();
    T sums[Order];
#pragma unroll
    for (int k = 0; k < Order; k += 4)
    {
        T low[2] = {x[k] + x[k + 1], x[k] - x[k + 1]}, high[2] = {x[k + 2] + x[k + 3], x[k + 2] - x[k + 3]};
        T parts[8];
#pragma unroll
        for (int i = 0; i < 8; i++)
            parts[i] = i & 4 ? low[i & 1] - high[i >> 1 & 1] : low[i & 1] + high[i >> 1 & 1];
#pragma unroll
        for (int r = 0; r < Order; r++)
        {
            int bits = static_cast<int>(signs.lines[r] >> k) & 15, a = bits & 1, b = bits >> 1 & 1, c = bits >> 2 & 1, d = bits >> 3;
            T part = parts[(a ^ b) | (c ^ d) << 1 | (a ^ c) << 2];
            if (k == 0)
                sums[r] = a ? -part : part;
            else
                sums[r] = a ? sums[r] - part : sums[r] + part;
        }
    }
#pragma unroll
    for (int r = 0; r < Order; r++)
        x[r] = sums[r];
}

// x <- x H: levels of Sylvester's transform over the lowest bits of the index.
template <int Levels, typename T, int Count> __device__ __forceinline__ void hadamard_levels(T (&x)[Count])
{
#pragma unroll
    for (int level = 1; level < 1 << Levels; level *= 2)
    {
#pragma unroll
        for (int i = 0; i < Count; i++)
        {
            if ((i & level) == 0)
            {
                T a = x[i], b = x[i + level];
                x[i] = a + b;
                x[i + level] = a - b;
            }
        }
    }
}

// x <- x (M (x) H), or x (M^T (x) H), with H of Bits levels.
template <int Order, int Bits, bool Transposed, typename T> __device__ __forceinline__ void hadamard_lines(T (&x)[Order << Bits])
{
    hadamard_levels<Bits>(x);
    if constexpr (Order > 1)
    {
#pragma unroll
        for (int j = 0; j < 1 << Bits; j++)
        {
            T column[Order];
#pragma unroll
            for (int k = 0; k < Order; k++)
                column[k] = x[(k << Bits) + j];
            multiply_paley<Order, Transposed>(column);
#pragma unroll
            for (int k = 0; k < Order; k++)
                x[(k << Bits) + j] = column[k];
        }
    }
}
