namespace FastKron.Native.Compute;

/// <summary>A trellis code at one rate: the value of every 16-bit state.</summary>
/// <remarks>State recurrence s ← ((s &lt;&lt; K·V) | fresh bits) mod 2^16. Source: QTIP, Tseng et al., arXiv:2406.11235.</remarks>
/// <param name="Name">decode_mode of the checkpoint: quantlut_sym (HYB), 1mad, 3inst, mul1, mcg.</param>
/// <param name="Bits">K, bits per weight.</param>
/// <param name="Vector">V, weights per step.</param>
/// <param name="Values">2^16 · V float32 codewords in state order, each exactly a float16.</param>
/// <param name="Table">The stored table of a lookup code as float16 bits, (2^Q, V); empty for computed codes.</param>
public sealed record TrellisCodebook(string Name, int Bits, int Vector, ReadOnlyMemory<float> Values, ReadOnlyMemory<ushort> Table)
{
    /// <summary>L, bits of a state.</summary>
    public const int StateBits = 16;

    /// <summary>Number of states.</summary>
    public const int States = 1 << StateBits;

    /// <summary>Weights of a tile, 16 × 16.</summary>
    public const int TileSize = 256;

    /// <summary>Trellis steps of a tile.</summary>
    public int Steps => TileSize / Vector;

    /// <summary>Fresh bits of a step, K·V.</summary>
    public int StepBits => Bits * Vector;

    /// <summary>16-bit words of a packed tile, 16·K.</summary>
    public int PackedWords => 16 * Bits;

    /// <summary>values[V·t …] ← codeword of states[t].</summary>
    /// <param name="states">Any number of states.</param>
    /// <param name="values">V numbers for each state.</param>
    public void Decode(ReadOnlySpan<ushort> states, Span<float> values)
    {
        ReadOnlySpan<float> codewords = Values.Span;
        for (int t = 0; t < states.Length; t++)
            codewords.Slice(states[t] * Vector, Vector).CopyTo(values.Slice(t * Vector, Vector));
    }
}
