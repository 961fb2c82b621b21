namespace FastKron.Native.Compute.Reference;

/// <summary>Gated activation y = g·σ(g)∘u, σ(g) = 1/(1 + e^−g).</summary>
/// <remarks>Source: arXiv:2002.05202.</remarks>
public static class SwiGlu
{
    /// <summary>y ← g·σ(g)∘u.</summary>
    /// <param name="gate">g, shape (n).</param>
    /// <param name="up">u, shape (n).</param>
    /// <param name="y">Shape (n). Overwritten.</param>
    public static void Forward(ReadOnlySpan<double> gate, ReadOnlySpan<double> up, Span<double> y)
    {
        for (int i = 0; i < gate.Length; i++)
            y[i] = gate[i] * Sigmoid(gate[i]) * up[i];
    }

    /// <summary>dg ← dy∘u∘σ(g)∘(1 + g∘(1 − σ(g))), du ← dy∘g∘σ(g).</summary>
    /// <param name="dy">Shape (n): gradient of the output.</param>
    /// <param name="gate">g, shape (n).</param>
    /// <param name="up">u, shape (n).</param>
    /// <param name="dGate">dg, shape (n). Overwritten.</param>
    /// <param name="dUp">du, shape (n). Overwritten.</param>
    public static void Backward(
        ReadOnlySpan<double> dy, ReadOnlySpan<double> gate, ReadOnlySpan<double> up, Span<double> dGate, Span<double> dUp)
    {
        for (int i = 0; i < gate.Length; i++)
        {
            double sigma = Sigmoid(gate[i]);
            dGate[i] = dy[i] * up[i] * sigma * (1 + gate[i] * (1 - sigma));
            dUp[i] = dy[i] * gate[i] * sigma;
        }
    }

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));
}
