namespace FastKron.Native.Compute.Reference;

/// <summary>Rotary position embedding of one head, halves convention: pairs are (x[i], x[i + d/2]).</summary>
/// <remarks>Source: arXiv:2104.09864. The map is orthogonal, so its backward pass is the inverse rotation.</remarks>
public static class RotaryEmbedding
{
    /// <summary>(x1, x2) ← (x1 cos − x2 sin, x2 cos + x1 sin); inverse: with −sin.</summary>
    /// <param name="x">Shape (d), d even. Overwritten.</param>
    /// <param name="cosines">Shape (d/2): the row of the token's position.</param>
    /// <param name="sines">Shape (d/2).</param>
    /// <param name="inverse">Rotate back.</param>
    public static void Rotate(Span<double> x, ReadOnlySpan<double> cosines, ReadOnlySpan<double> sines, bool inverse)
    {
        int half = x.Length / 2;
        for (int i = 0; i < half; i++)
        {
            double sine = inverse ? -sines[i] : sines[i];
            (x[i], x[i + half]) = (x[i] * cosines[i] - x[i + half] * sine, x[i + half] * cosines[i] + x[i] * sine);
        }
    }
}
