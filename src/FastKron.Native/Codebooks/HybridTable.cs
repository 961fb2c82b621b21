using System.Buffers.Binary;
using System.Security.Cryptography;
using FastKron.Native.Compute.Reference;

namespace FastKron.Native.Codebooks;

/// <summary>The engine's own HYB table: 512 points of the plane, made once and embedded.</summary>
/// <remarks>
/// 2^20 standard normal points, of which the first 512 are the first centres; 40 rounds of Lloyd's algorithm; sorted by (x, y), scaled so that all
/// 1024 numbers together have standard deviation √(15/16), and rounded to float16. Fewer rounds place points worse; more let the centres approach their
/// fixed point, whose density has √2 times the width of the weights': after scaling, the outermost ones lie too far inside and 4-bit codes lose 8 %.
/// Source: QTIP, arXiv:2406.11235, section 3.1.2 (a hashed table); hessians-and-rounding.md section 4.6.
/// </remarks>
internal static class HybridTable
{
    /// <summary>Points of the table.</summary>
    public const int Count = 512;

    private const int Points = 1 << 20;
    private const int Rounds = 40;
    private const string Resource = "FastKron.Native.Codebooks.hyb.bin";
    private const string Hash = "332B7B0F27888960AFA73C4451A782E2AE805A1BC94F4C4942EC50BC11A78A36";

    /// <summary>Reads the embedded table: (512, 2) float16 bits.</summary>
    /// <exception cref="InvalidDataException">The resource is not the one this program was written with.</exception>
    public static ushort[] Load()
    {
        using Stream stream = typeof(HybridTable).Assembly.GetManifestResourceStream(Resource)
            ?? throw new InvalidDataException($"{Resource}: not in the program; build it again from a complete source tree");
        byte[] bytes = new byte[2 * 2 * Count];
        stream.ReadExactly(bytes);
        string hash = Convert.ToHexString(SHA256.HashData(bytes));
        if (hash != Hash)
            throw new InvalidDataException($"{Resource}: SHA-256 {hash}, expected {Hash}; build the program again from a complete source tree");
        ushort[] table = new ushort[2 * Count];
        for (int i = 0; i < table.Length; i++)
            table[i] = BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(2 * i));
        return table;
    }

    /// <summary>Makes the table anew; the embedded one is this.</summary>
    /// <returns>(512, 2) float16 bits.</returns>
    public static ushort[] Build()
    {
        float[] normals = new float[2 * Points];
        Philox.Normal(seed: 0, RandomPurpose.Codebook, item: 0, normals);
        (double X, double Y)[] points = new (double, double)[Points];
        for (int i = 0; i < Points; i++)
            points[i] = (normals[2 * i], normals[2 * i + 1]);

        (double X, double Y)[] centres = points[..Count];
        KMeans.Refine(points, centres, Rounds);

        Array.Sort(centres);
        double mean = centres.Sum(c => c.X + c.Y) / (2 * Count);
        double variance = centres.Sum(c => (c.X - mean) * (c.X - mean) + (c.Y - mean) * (c.Y - mean)) / (2 * Count);
        double scale = Math.Sqrt(15.0 / 16 / variance);
        return [.. centres.SelectMany(c => new[] { Bits(c.X * scale), Bits(c.Y * scale) })];
    }

    private static ushort Bits(double value) => BitConverter.HalfToUInt16Bits((Half)value);
}
