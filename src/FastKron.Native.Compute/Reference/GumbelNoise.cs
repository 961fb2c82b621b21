namespace FastKron.Native.Compute.Reference;

/// <summary>Gumbel noise −ln(−ln u) in float32, defined operation by operation, so that every device and SIMD width gives the same bits.</summary>
/// <remarks>
/// Each step below is one IEEE 754 operation rounded to nearest even (a fused multiply-add rounds once) or an exact integer operation; nothing
/// may be reassociated or contracted. <see cref="Log"/> is within 2 ulp of ln x, near 1 too, because x − 1 is exact there.
/// </remarks>
public static class GumbelNoise
{
    /// <summary>Bits of √½ rounded to float32: mantissas are reduced to [√½, √2).</summary>
    internal const int ReductionBits = 0x3F3504F3;

    /// <summary>ln 2 rounded to float32.</summary>
    internal const float Ln2 = 0.693147182f;

    // ln(1 + t)/t ≈ 1 + C1 t + … + C9 t⁹ on [√½ − 1, √2 − 1]: equal-ripple fit of the relative error (Remez), 8e-9 after rounding to float32.
    internal const float C1 = -0.499999881f;
    internal const float C2 = 0.333333254f;
    internal const float C3 = -0.250015974f;
    internal const float C4 = 0.20002088f;
    internal const float C5 = -0.166087955f;
    internal const float C6 = 0.141792566f;
    internal const float C7 = -0.132427201f;
    internal const float C8 = 0.129219368f;
    internal const float C9 = -0.0764497742f;

    /// <summary>The noise that a random word stands for: −ln(−ln u), u = <see cref="Philox.Uniform"/>; between −2.82 and 16.64.</summary>
    public static float FromWord(uint word) => -Log(-Log(Philox.Uniform(word)));

    /// <summary>ln x for positive normal x.</summary>
    public static float Log(float x)
    {
        // x = 2^exponent (1 + t), √½ ≤ 1 + t < √2; the subtraction that makes t is exact.
        int bits = BitConverter.SingleToInt32Bits(x);
        int exponent = (bits - ReductionBits) >> 23;
        float t = BitConverter.Int32BitsToSingle(bits - (exponent << 23)) - 1f;
        float q = MathF.FusedMultiplyAdd(C9, t, C8);
        q = MathF.FusedMultiplyAdd(q, t, C7);
        q = MathF.FusedMultiplyAdd(q, t, C6);
        q = MathF.FusedMultiplyAdd(q, t, C5);
        q = MathF.FusedMultiplyAdd(q, t, C4);
        q = MathF.FusedMultiplyAdd(q, t, C3);
        q = MathF.FusedMultiplyAdd(q, t, C2);
        q = MathF.FusedMultiplyAdd(q, t, C1);
        q = MathF.FusedMultiplyAdd(q, t, 1f);
        return MathF.FusedMultiplyAdd(exponent, Ln2, q * t);
    }
}
