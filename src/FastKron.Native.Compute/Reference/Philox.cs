using System.Runtime.CompilerServices;

namespace FastKron.Native.Compute.Reference;

/// <summary>The counter-based random generator Philox 4x32 with ten rounds: the only source of randomness of the engine.</summary>
/// <remarks>
/// Key = a 64-bit seed; counter = (index low, index high, stream, matrix or token). The same (seed, counter) gives the same four words on every
/// device. Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
/// </remarks>
public static class Philox
{
    /// <summary>Four random words for one counter.</summary>
    /// <param name="seed">Key: low 32 bits first.</param>
    /// <param name="index">Position in the sequence, in blocks of four words.</param>
    /// <param name="stream">What the numbers are for: see <see cref="RandomPurpose"/>.</param>
    /// <param name="item">Number of the matrix or token.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (uint X, uint Y, uint Z, uint W) Words(ulong seed, ulong index, RandomPurpose stream, uint item)
    {
        uint x = (uint)index, y = (uint)(index >> 32), z = (uint)stream, w = item;
        uint k0 = (uint)seed, k1 = (uint)(seed >> 32);
        for (int round = 0; round < 10; round++)
        {
            ulong p0 = (ulong)x * 0xD2511F53, p1 = (ulong)z * 0xCD9E8D57;
            (x, y, z, w) = ((uint)(p1 >> 32) ^ y ^ k0, (uint)p1, (uint)(p0 >> 32) ^ w ^ k1, (uint)p0);
            k0 += 0x9E3779B9;
            k1 += 0xBB67AE85;
        }
        return (x, y, z, w);
    }

    /// <summary>Word <paramref name="position"/> of the sequence.</summary>
    public static uint Word(ulong seed, ulong position, RandomPurpose stream, uint item)
    {
        var (x, y, z, w) = Words(seed, position >> 2, stream, item);
        return (position & 3) switch { 0 => x, 1 => y, 2 => z, _ => w };
    }

    /// <summary>A word as a number strictly between 0 and 1: (upper 23 bits + ½) · 2⁻²³, exact in float32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Uniform(uint word) => ((word >> 9) + 0.5f) * (1f / 8388608f);

    /// <summary>Fills with independent standard normal numbers (Box–Muller in float64).</summary>
    public static void Normal(ulong seed, RandomPurpose stream, uint item, Span<float> destination)
    {
        for (int i = 0; i < destination.Length; i += 2)
        {
            uint a = Word(seed, (ulong)i, stream, item), b = Word(seed, (ulong)i + 1, stream, item);
            double radius = Math.Sqrt(-2 * Math.Log((a + 0.5) / 4294967296.0)), angle = 2 * Math.PI * (b + 0.5) / 4294967296.0;
            destination[i] = (float)(radius * Math.Cos(angle));
            if (i + 1 < destination.Length)
                destination[i + 1] = (float)(radius * Math.Sin(angle));
        }
    }

    /// <summary>Fills with ±1: sign i is − when bit 31 of word i is set.</summary>
    public static void Signs(ulong seed, RandomPurpose stream, uint item, Span<float> destination)
    {
        for (int i = 0; i < destination.Length; i++)
            destination[i] = Word(seed, (ulong)i, stream, item) >> 31 != 0 ? -1f : 1f;
    }
}

/// <summary>What a random sequence is for; part of the Philox counter, so that no two uses share numbers.</summary>
public enum RandomPurpose : uint
{
    /// <summary>Test data.</summary>
    Test = 0,

    /// <summary>Labels drawn from the model's distribution; item = token.</summary>
    Labels = 1,

    /// <summary>Signs of the input side of a matrix; item = matrix.</summary>
    InputSigns = 2,

    /// <summary>Signs of the output side of a matrix; item = matrix.</summary>
    OutputSigns = 3,

    /// <summary>Text sampled from the model for calibration; item = token.</summary>
    Calibration = 4,

    /// <summary>Tokens drawn for the user; item = token.</summary>
    Generation = 5,

    /// <summary>Points from which the HYB codebook is made.</summary>
    Codebook = 6,

    /// <summary>Order of calibration sequences.</summary>
    Shuffle = 7,

    /// <summary>Documents drawn by a bootstrap; item = number of the stratum.</summary>
    Bootstrap = 8,

    /// <summary>Weights and tokens of models made for tests; item = number of the tensor.</summary>
    TestModel = 9,
}
