// e^x in float32 for x <= 0, within 1 ulp: the operations of Cpu/Exponential.cs, where that has fused multiply-adds.
#pragma once

// 0 where e^x is below the smallest normal number; NaN stays NaN. x = n ln 2 + r, |r| <= ln 2 / 2; e^x = 2^n e^r.
__device__ __forceinline__ float exp_nonpositive(float x)
{
    float n = rintf(__fmul_rn(x, 1.44269502f));
    float r = __fmaf_rn(n, -3.19461833e-05f, __fmaf_rn(n, -0.693115234f, x));
    float p = __fmaf_rn(r, 0.00138145988f, 0.00836871658f);
    p = __fmaf_rn(p, r, 0.041668389f);
    p = __fmaf_rn(p, r, 0.166665211f);
    p = __fmaf_rn(p, r, 0.49999994f);
    p = __fmaf_rn(p, r, 1.0f);
    p = __fmaf_rn(p, r, 1.0f);
    float power = __int_as_float((static_cast<int>(n) + 127) << 23);
    return x < -87.3365f ? 0.0f : p * power;
}
