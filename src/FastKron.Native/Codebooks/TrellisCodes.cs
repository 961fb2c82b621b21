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
