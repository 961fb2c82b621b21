using FastKron.Native.Compute;

namespace FastKron.Native.Codebooks;

/// <summary>The trellis codes the engine knows, by the name that checkpoints use.</summary>
public static class TrellisCodes
{
    private const string HybridName = "quantlut_sym";

    private static readonly Lazy<TrellisCodebook[]> OwnHybrid = new(() =>
    {
        ushort[] table = HybridTable.Load();
        float[] values = HybridValues(table);
        return [.. Enumerable.Range(2, 3).Select(bits => new TrellisCodebook(HybridName, bits, 2, values, table))];
    });

    private static readonly Lazy<TrellisCodebook[]> Sums = Rates("1mad", static s => (float)(Half)OneMadQuotient(s));
    private static readonly Lazy<TrellisCodebook[]> HalfPairs = Rates("3inst", static s => PairSum(s * 89226354 + 64248484));
    private static readonly Lazy<TrellisCodebook[]> MultipliedPairs = Rates("mcg", static s => PairSum(s * 0xCBAC1FED));
    private static readonly Lazy<TrellisCodebook[]> ScaledSums = Rates("mul1", static s => ScaledSum(s * 0x83DCD12D));

    /// <summary>A code by its kind.</summary>
    /// <param name="code">Which.</param>
    /// <param name="bits">K: 2 to 4 for HYB, else 1 to 8.</param>
    public static TrellisCodebook Create(TrellisCode code, int bits) => code switch
    {
        TrellisCode.Hybrid => Hybrid(bits),
        TrellisCode.OneMad => OneMad(bits),
        TrellisCode.ThreeInstructions => ThreeInstructions(bits),
        TrellisCode.MultiplicativeCongruence => MultiplicativeCongruence(bits),
        TrellisCode.MultipliedSums => MultipliedSums(bits),
        _ => throw new ArgumentOutOfRangeException(nameof(code), code, "no code"),
    };

    /// <summary>The name of a kind on the command line: hyb, 1mad, 3inst, mcg or mul1.</summary>
    public static string ToText(this TrellisCode code) => code == TrellisCode.Hybrid ? "hyb" : Create(code, bits: 2).Name;

    /// <summary>Root mean square of weights in units of the code's at which rounding with feedback loses least: the more bits, the smaller, so that fewer weights lie beyond the outermost codewords.</summary>
    /// <param name="code">Which.</param>
    /// <param name="bits">K.</param>
    public static double RelativeScale(TrellisCode code, int bits) => (code, bits) switch
    {
        (TrellisCode.Hybrid, <= 2) => 0.92,
        (TrellisCode.Hybrid, 3) => 0.88,
        (TrellisCode.Hybrid, _) => 0.83,
        (_, <= 2) => 0.95,
        (_, 3) => 0.92,
        _ => 0.9,
    };

    /// <summary>HYB: L = 16, V = 2, 9-bit table with a sign bit (<c>quantlut_sym</c>), with the engine's own table. One instance for each rate.</summary>
    /// <param name="bits">K: 2, 3 or 4.</param>
    public static TrellisCodebook Hybrid(int bits)
    {
        CheckBits(bits);
        return OwnHybrid.Value[bits - 2];
    }

    /// <summary>HYB with the table of a checkpoint; the shared instance if that is the engine's own table.</summary>
    /// <param name="bits">K: 2, 3 or 4.</param>
    /// <param name="table">(512, 2) float16 bits.</param>
    /// <exception cref="ArgumentException">Wrong size, or a number that is not finite.</exception>
    public static TrellisCodebook Hybrid(int bits, ReadOnlySpan<ushort> table)
    {
        CheckBits(bits);
        if (table.Length != 2 * HybridTable.Count)
            throw new ArgumentException($"HYB table: expected {2 * HybridTable.Count} numbers, found {table.Length}", nameof(table));
        if (table.SequenceEqual(OwnHybrid.Value[0].Table.Span))
            return OwnHybrid.Value[bits - 2];
        for (int i = 0; i < table.Length; i++)
        {
            if (!Half.IsFinite(BitConverter.UInt16BitsToHalf(table[i])))
                throw new ArgumentException($"HYB table: number {i} is {BitConverter.UInt16BitsToHalf(table[i])}; expected finite numbers", nameof(table));
        }
        ushort[] copy = table.ToArray();
        return new TrellisCodebook(HybridName, bits, 2, HybridValues(copy), copy);
    }

    /// <summary>1MAD: the four bytes of a linear congruence summed, L = 16, V = 1.</summary>
    /// <param name="bits">K: 1 to 8.</param>
    /// <remarks>This and the other computed codes: trellis-formats-and-kernels.md section 1.1; QTIP, arXiv:2406.11235, section 3.1, and EXL3.</remarks>
    public static TrellisCodebook OneMad(int bits) => Computed(Sums, bits);

    /// <summary>3INST, EXL3's codebook 0: the two halves of a masked linear congruence, added as float16 numbers.</summary>
    /// <param name="bits">K: 1 to 8.</param>
    public static TrellisCodebook ThreeInstructions(int bits) => Computed(HalfPairs, bits);

    /// <summary>MCG, EXL3's codebook 1: 3INST with another multiplier and no constant.</summary>
    /// <param name="bits">K: 1 to 8.</param>
    public static TrellisCodebook MultiplicativeCongruence(int bits) => Computed(MultipliedPairs, bits);

    /// <summary>MUL1, EXL3's codebook 2: the four bytes of a product summed, scaled in float16.</summary>
    /// <param name="bits">K: 1 to 8.</param>
    public static TrellisCodebook MultipliedSums(int bits) => Computed(ScaledSums, bits);

    private static TrellisCodebook Computed(Lazy<TrellisCodebook[]> rates, int bits)
    {
        if (bits is < 1 or > 8)
            throw new ArgumentOutOfRangeException(nameof(bits), bits, "a computed code has 1 to 8 bits a weight");
        return rates.Value[bits - 1];
    }

    // One instance for each rate; the rates share the values.
    private static Lazy<TrellisCodebook[]> Rates(string name, Func<uint, float> codeword) => new(() =>
    {
        float[] values = new float[TrellisCodebook.States];
        for (uint s = 0; s < TrellisCodebook.States; s++)
            values[s] = codeword(s);
        return [.. Enumerable.Range(1, 8).Select(bits => new TrellisCodebook(name, bits, 1, values, default))];
    });

    /// <summary>1MAD's number before it is rounded to float16, as decoders do.</summary>
    internal static float OneMadQuotient(uint state) => ((int)ByteSum(state * 34038481 + 76625530) - 510) / 147.800537109375f;

    private static uint ByteSum(uint x) => (x & 0xFF) + (x >> 8 & 0xFF) + (x >> 16 & 0xFF) + (x >> 24);

    // The sum of two float16 numbers is exact in float32, so it is rounded once.
    private static float PairSum(uint x)
    {
        uint pair = x & 0x8FFF8FFF ^ 0x3B603B60;
        return (float)(Half)((float)BitConverter.UInt16BitsToHalf((ushort)pair) + (float)BitConverter.UInt16BitsToHalf((ushort)(pair >> 16)));
    }

    // fma(1024 + sum, c1, c0) in float16: exact in float64, so it is rounded once.
    private static float ScaledSum(uint x) =>
        (float)(Half)((1024.0 + ByteSum(x)) * (double)BitConverter.UInt16BitsToHalf(0x1EEE) + (double)BitConverter.UInt16BitsToHalf(0xC931));

    // h = s(s + 1): bits 6 … 14 choose the point, bit 15 the sign of its first component.
    private static float[] HybridValues(ushort[] table)
    {
        float[] values = new float[2 * TrellisCodebook.States];
        for (uint s = 0; s < TrellisCodebook.States; s++)
        {
            uint hash = s * (s + 1), index = hash >> 6 & 511;
            float first = (float)BitConverter.UInt16BitsToHalf(table[2 * index]);
            values[2 * s] = (hash & 0x8000) != 0 ? -first : first;
            values[2 * s + 1] = (float)BitConverter.UInt16BitsToHalf(table[2 * index + 1]);
        }
        return values;
    }

    private static void CheckBits(int bits)
    {
        if (bits is < 2 or > 4)
            throw new ArgumentOutOfRangeException(nameof(bits), bits, "HYB has 2, 3 or 4 bits a weight");
    }
}
