namespace FastKron.Native.Compute.Reference;

/// <summary>Draws a token from softmax(z): the argmax of z plus independent Gumbel noise has exactly that distribution.</summary>
public static class LabelSampling
{
    /// <summary>argmax_v of z[v] + <see cref="GumbelNoise.FromWord"/>(Philox word v), summed in float32; the lowest v on ties.</summary>
    /// <param name="logits">z, shape (vocabulary).</param>
    /// <param name="seed">Philox key.</param>
    /// <param name="stream">Philox stream.</param>
    /// <param name="item">Philox item: the token.</param>
    /// <exception cref="ArithmeticException">A logit is NaN, or none is above −∞.</exception>
    public static int Draw(ReadOnlySpan<float> logits, ulong seed, RandomPurpose stream, uint item)
    {
        float best = float.NegativeInfinity;
        int label = -1;
        for (int v = 0; v < logits.Length; v++)
        {
            float score = logits[v] + GumbelNoise.FromWord(Philox.Word(seed, (ulong)v, stream, item));
            if (float.IsNaN(score))
                throw new ArithmeticException($"logit {v} is NaN");
            if (score > best)
                (best, label) = (score, v);
        }
        return label >= 0 ? label : throw new ArithmeticException("no logit is above -infinity");
    }
}
