using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FastKron.Native.Compute.Cpu;

/// <summary>One row of y = g·σ(g)∘u and of its gradients, in one pass over memory.</summary>
internal static class GatedActivation
{
    /// <summary>y ← g·σ(g)∘u.</summary>
    public static void Forward(ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> y)
    {
        ReadOnlySpan<Vector<float>> gates = Vectors(gate), ups = Vectors(up);
        Span<Vector<float>> ys = MemoryMarshal.Cast<float, Vector<float>>(y);
        for (int i = 0; i < gates.Length; i++)
            ys[i] = gates[i] * Sigmoid(gates[i]) * ups[i];
        for (int i = gates.Length * Vector<float>.Count; i < gate.Length; i++)
            y[i] = gate[i] * Sigmoid(gate[i]) * up[i];
    }

    /// <summary>dGate ← dy∘u∘σ∘(1 + g∘(1 − σ)), dUp ← dy∘g∘σ.</summary>
    public static void Backward(ReadOnlySpan<float> dy, ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> dGate, Span<float> dUp)
    {
        ReadOnlySpan<Vector<float>> dys = Vectors(dy), gates = Vectors(gate), ups = Vectors(up);
        Span<Vector<float>> dGates = MemoryMarshal.Cast<float, Vector<float>>(dGate), dUps = MemoryMarshal.Cast<float, Vector<float>>(dUp);
        for (int i = 0; i < gates.Length; i++)
        {
            Vector<float> sigma = Sigmoid(gates[i]), through = dys[i] * sigma;
            dGates[i] = through * ups[i] * (Vector<float>.One + gates[i] * (Vector<float>.One - sigma));
            dUps[i] = through * gates[i];
        }
        for (int i = gates.Length * Vector<float>.Count; i < gate.Length; i++)
        {
            float sigma = Sigmoid(gate[i]), through = dy[i] * sigma;
            dGate[i] = through * up[i] * (1 + gate[i] * (1 - sigma));
            dUp[i] = through * gate[i];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> Sigmoid(Vector<float> x) => Vector<float>.One / (Vector<float>.One + Exponential.Of(-x));

    private static float Sigmoid(float x) => 1 / (1 + MathF.Exp(-x));

    private static ReadOnlySpan<Vector<float>> Vectors(ReadOnlySpan<float> values) => MemoryMarshal.Cast<float, Vector<float>>(values);
}
