// Philox 4x32 with ten rounds, uniforms and Gumbel noise: bit for bit Reference/Philox.cs and Reference/GumbelNoise.cs.
// Source  Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

// Four random words. index: position in blocks of four words; stream: RandomPurpose; item: matrix or token.
__device__ __forceinline__ uint4 philox_words(unsigned long long seed, unsigned long long index, unsigned stream,
                                              unsigned item)
{
    unsigned x = static_cast<unsigned>(index), y = static_cast<unsigned>(index >> 32), z = stream, w = item;
    unsigned k0 = static_cast<unsigned>(seed), k1 = static_cast<unsigned>(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++)
    {
        unsigned low0 = x * 0xD2511F53u, high0 = __umulhi(x, 0xD2511F53u);
        unsigned low1 = z * 0xCD9E8D57u, high1 = __umulhi(z, 0xCD9E8D57u);
        x = high1 ^ y ^ k0;
        y = low1;
        z = high0 ^ w ^ k1;
        w = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return make_uint4(x, y, z, w);
}

// A word as a number strictly between 0 and 1: (upper 23 bits + 1/2) / 2^23, exact.
__device__ __forceinline__ float philox_uniform(unsigned word)
{
    return __fmul_rn(__fadd_rn(static_cast<float>(word >> 9), 0.5f), 1.0f / 8388608.0f);
}

// ln x for positive normal x: every step is one rounded operation, so that no compiler may contract or reorder them.
__device__ __forceinline__ float gumbel_log(float x)
{
    int bits = __float_as_int(x);
    int exponent = (bits - 0x3F3504F3) >> 23;
    float t = __fsub_rn(__int_as_float(bits - (exponent << 23)), 1.0f);
    float q = __fmaf_rn(-0.0764497742f, t, 0.129219368f);
    q = __fmaf_rn(q, t, -0.132427201f);
    q = __fmaf_rn(q, t, 0.141792566f);
    q = __fmaf_rn(q, t, -0.166087955f);
    q = __fmaf_rn(q, t, 0.20002088f);
    q = __fmaf_rn(q, t, -0.250015974f);
    q = __fmaf_rn(q, t, 0.333333254f);
    q = __fmaf_rn(q, t, -0.499999881f);
    q = __fmaf_rn(q, t, 1.0f);
    return __fmaf_rn(static_cast<float>(exponent), 0.693147182f, __fmul_rn(q, t));
}

// -ln(-ln u) of the uniform that a word stands for.
__device__ __forceinline__ float gumbel_noise(unsigned word)
{
    return -gumbel_log(-gumbel_log(philox_uniform(word)));
}
