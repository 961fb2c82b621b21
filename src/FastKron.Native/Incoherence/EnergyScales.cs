using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Incoherence;

/// <summary>Diagonal scalings after which every row and every column of a weight matrix has the same mean square.</summary>
/// <remarks>
/// Two-sided feedback leaves a white residual, so at a given rate the loss is proportional to the mean square of D_out W D_in times the determinants of
/// the scaled factors, and smallest there. Source: hessians-and-rounding.md section 4.2b.
/// </remarks>
/// <param name="Output">1/d of every row; empty for none.</param>
/// <param name="Input">1/d of every column, numbers that bfloat16 and float16 hold; empty for none.</param>
public sealed record EnergyScales(float[] Output, float[] Input)
{
    // The multipliers change by less than 2⁻⁹ after some ten sweeps even where channels differ by orders of magnitude.
    private const int Sweeps = 16;

    // A scale is stored with 8 bits of mantissa; what is nearer to 1 everywhere is not worth one.
    private const double Negligible = 1.0 / 512;

    // Within these, float16 holds every bfloat16 exactly.
    private const double Largest = 256;

    /// <summary>No scaling.</summary>
    public static EnergyScales None { get; } = new([], []);

    /// <summary>The scales of every matrix; waits.</summary>
    /// <param name="backend">Where the weights lie.</param>
    /// <param name="w">(matrices · m, n) F32: matrices above each other.</param>
    /// <param name="matrices">How many.</param>
    public static EnergyScales[] Of(IBackend backend, Tensor w, int matrices)
    {
        int m = w.Rows / matrices, n = w.Columns;
        double[] rows = new double[matrices * m], columns = new double[matrices * n];
        using (Tensor r = backend.Allocate(DType.F64, matrices, m), c = backend.Allocate(DType.F64, matrices, n))
        {
            backend.BalanceEnergy(w, Sweeps, r, c);
            backend.Download<double>(r, rows);
            backend.Download<double>(c, columns);
        }
        return [.. Enumerable.Range(0, matrices).Select(b => Of(rows.AsSpan(b * m, m), columns.AsSpan(b * n, n)))];
    }

    // d = √multiplier over its geometric mean; 1/d is what is stored.
    private static EnergyScales Of(ReadOnlySpan<double> rows, ReadOnlySpan<double> columns)
    {
        var scales = new EnergyScales(Inverse(rows), Array.ConvertAll(Inverse(columns), x => BFloat16.FromSingle(x).ToSingle()));
        return scales.Output.Concat(scales.Input).All(s => Math.Abs(s - 1) <= Negligible) ? None : scales;
    }

    private static float[] Inverse(ReadOnlySpan<double> multipliers)
    {
        double logarithms = 0;
        foreach (double x in multipliers)
            logarithms += Math.Log(x);
        if (!double.IsFinite(logarithms))
            throw new ArithmeticException("energy equalisation: a multiplier is zero or not finite, expected positive numbers");
        double mean = logarithms / multipliers.Length;
        float[] inverse = new float[multipliers.Length];
        for (int i = 0; i < inverse.Length; i++)
            inverse[i] = (float)Math.Clamp(Math.Exp((mean - Math.Log(multipliers[i])) / 2), 1 / Largest, Largest);
        return inverse;
    }
}
