using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Reference;

/// <summary>Every backward pass of the float64 definitions against central differences of its forward pass.</summary>
public sealed class GradientTests
{
    // Central differences: step² · third derivative (1e-10) plus 1e-16 / step (1e-11), for functions and derivatives of size 1 to 100.
    private const double Step = 1e-5, Tolerance = 1e-7;

    [Test]
    public void RmsNormBackward_DirectionalDerivative_Agrees([Values(1, 2, 33)] int n)
    {
        double[] x = Normal(n, 1), w = Normal(n, 2), dy = Normal(n, 3), dx = new double[n];
        RmsNorm.Backward(dy, x, w, 0.1, dx);
        AssertGradient(dx, x, point =>
        {
            double[] y = new double[n];
            RmsNorm.Forward(point, w, 0.1, y);
            return Dot(y, dy);
        });
    }

    [Test]
    public void SwiGluBackward_DirectionalDerivative_Agrees()
    {
        double[] gate = Normal(20, 1), up = Normal(20, 2), dy = Normal(20, 3), dGate = new double[20], dUp = new double[20];
        SwiGlu.Backward(dy, gate, up, dGate, dUp);
        AssertGradient(dGate, gate, point => Loss(point, up));
        AssertGradient(dUp, up, point => Loss(gate, point));

        double Loss(double[] g, double[] u)
        {
            double[] y = new double[20];
            SwiGlu.Forward(g, u, y);
            return Dot(y, dy);
        }
    }

    [Test]
    public void Rotate_InverseIsTheAdjoint()
    {
        double[] x = Normal(12, 1), y = Normal(12, 2), angles = Normal(6, 3), rotated = [.. x], back = [.. y];
        double[] cosines = Array.ConvertAll(angles, Math.Cos), sines = Array.ConvertAll(angles, Math.Sin);
        RotaryEmbedding.Rotate(rotated, cosines, sines, inverse: false);
        RotaryEmbedding.Rotate(back, cosines, sines, inverse: true);
        Assert.That(Dot(rotated, y), Is.EqualTo(Dot(x, back)).Within(1e-13));           // twelve products of numbers near 1 in float64
        RotaryEmbedding.Rotate(rotated, cosines, sines, inverse: true);
        Assert.That(rotated, Is.EqualTo(x).Within(1e-14));
    }

    [Test]
    public void CrossEntropyBackward_DirectionalDerivative_Agrees()
    {
        double[] logits = Normal(17, 1), gradient = [.. logits];
        CrossEntropy.Backward(gradient, label: 5, scale: 3);
        AssertGradient(gradient, logits, point => 3 * CrossEntropy.Loss(point, 5));
        Assert.That(gradient.Sum(), Is.Zero.Within(1e-14));
    }

    [Test]
    public void CrossEntropy_NegativeLabel_HasNoLossAndNoGradient()
    {
        double[] gradient = Normal(17, 1);
        Assert.That(CrossEntropy.Loss(gradient, -100), Is.Zero);
        CrossEntropy.Backward(gradient, label: -100, scale: 3);
        Assert.That(gradient, Is.All.Zero);
    }

    [Test]
    public void CausalAttentionBackward_DirectionalDerivative_Agrees()
    {
        // Two sequences, the second with earlier keys in a cache; four query heads on two key heads.
        var layout = new AttentionLayout(4, 2, 3, [new(0, 4, 0, 4), new(4, 2, 4, 5)]);
        double[] q = Normal(6 * 12, 1), k = Normal(9 * 6, 2), v = Normal(9 * 6, 3), dOutput = Normal(6 * 12, 4);
        double[] dq = new double[q.Length], dk = new double[k.Length], dv = new double[v.Length];
        CausalAttention.Backward(dOutput, q, k, v, layout, dq, dk, dv);
        AssertGradient(dq, q, point => Loss(point, k, v));
        AssertGradient(dk, k, point => Loss(q, point, v));
        AssertGradient(dv, v, point => Loss(q, k, point));

        double Loss(double[] queries, double[] keys, double[] values)
        {
            double[] output = new double[q.Length];
            CausalAttention.Forward(queries, keys, values, layout, output, new double[6 * 4]);
            return Dot(output, dOutput);
        }
    }

    [Test]
    public void CausalAttentionForward_EqualKeys_AveragesTheVisibleValues()
    {
        var layout = new AttentionLayout(1, 1, 1, [new(0, 3, 0, 3)]);
        double[] output = new double[3], logSumExp = new double[3];
        CausalAttention.Forward([1, 2, 3], [0.5, 0.5, 0.5], [3, 5, 10], layout, output, logSumExp);
        Assert.That(output, Is.EqualTo([3.0, 4.0, 6.0]).Within(1e-14));
        Assert.That(logSumExp, Is.EqualTo([0.5, 1 + Math.Log(2), 1.5 + Math.Log(3)]).Within(1e-14));
    }

    /// <summary>Compares each partial derivative.</summary>
    private static void AssertGradient(double[] gradient, double[] at, Func<double[], double> function)
    {
        for (int i = 0; i < at.Length; i++)
        {
            double[] above = [.. at], below = [.. at];
            above[i] += Step;
            below[i] -= Step;
            Assert.That(gradient[i], Is.EqualTo((function(above) - function(below)) / (2 * Step)).Within(Tolerance), $"element {i}");
        }
    }

    private static double Dot(double[] x, double[] y) => x.Zip(y, (a, b) => a * b).Sum();

    private static double[] Normal(int count, uint item)
    {
        float[] values = new float[count];
        Philox.Normal(11, RandomPurpose.Test, item, values);
        return Array.ConvertAll(values, value => (double)value);
    }
}
