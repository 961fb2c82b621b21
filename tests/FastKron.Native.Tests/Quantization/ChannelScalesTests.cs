using FastKron.Native.Codebooks;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Quantization;
using FastKron.Native.Tests.Rounding;
using NUnit.Framework;

namespace FastKron.Native.Tests.Quantization;

public sealed class ChannelScalesTests
{
    private const int Rows = 64;
    private const int Columns = 96;

    private static readonly DenseMatrix W = Uneven(DenseMatrix.Normal(Rows, Columns, seed: 1));
    private static readonly DenseMatrix A = DenseMatrix.Covariance(Rows, seed: 2);
    private static readonly DenseMatrix B = DenseMatrix.Covariance(Columns, seed: 3);

    // The step that the ridge of 1e-3 shortens by about as much.
    [Test]
    public void Fit_Outputs_AreTheDenseLeastSquares()
    {
        using var backend = new CpuBackend();
        QuantizedWeights plain = Quantize(backend, A, B, fit: false).Weights, fitted = Quantize(backend, A, B, fit: true).Weights;
        DenseMatrix x = Dequantize(backend, plain with { InputScale = fitted.InputScale });
        double[] expected = LeastSquares(x, W, Damped(A), Damped(B)), actual = Change(plain.OutputScale, fitted.OutputScale);
        Assert.That(expected.Max(Math.Abs), Is.GreaterThan(0.01), "something to fit");
        Assert.That(actual, Is.EqualTo(expected).Within(5e-3 * expected.Max(Math.Abs)));
    }

    [Test]
    public void Fit_Inputs_AreTheDenseLeastSquaresInBFloat16()
    {
        using var backend = new CpuBackend();
        QuantizedWeights plain = Quantize(backend, A, B, fit: false).Weights, fitted = Quantize(backend, A, B, fit: true).Weights;
        double[] expected = LeastSquares(Dequantize(backend, plain).Transposed, W.Transposed, Damped(B), Damped(A)), actual = Change(plain.InputScale, fitted.InputScale);
        Assert.That(actual, Is.EqualTo(expected).Within(1.0 / 256), "half a step of bfloat16");
        Assert.That(fitted.InputScale, Has.All.Matches<float>(s => BFloat16.FromSingle(s).ToSingle() == s));
        Assert.That(fitted.Codes, Is.EqualTo(plain.Codes));
    }

    // With two factors, one and none; the identity is a metric, too.
    [TestCase(true, true)]
    [TestCase(false, true)]
    [TestCase(true, false)]
    [TestCase(false, false)]
    public void Fit_AnyFactors_LowersTheLossByWhatIsReported(bool withOut, bool withIn)
    {
        using var backend = new CpuBackend();
        DenseMatrix? a = withOut ? A : null, b = withIn ? B : null;
        double Loss(RoundedLinear rounded) => DenseMatrix.Loss(Dequantize(backend, rounded.Weights) - W, Damped(a, Rows), Damped(b, Columns));
        RoundedLinear plain = Quantize(backend, a, b, fit: false), fitted = Quantize(backend, a, b, fit: true);
        double before = Loss(plain), after = Loss(fitted);
        TestContext.Out.WriteLine($"{before:F3} to {after:F3}");
        Assert.Multiple(() =>
        {
            Assert.That(after, Is.LessThan(0.99 * before));
            Assert.That(fitted.Statistics.AbsoluteProxyError, Is.EqualTo(after).Within(1e-3 * after), "float32 weights and factors");
            Assert.That(fitted.Statistics.ProxyError, Is.EqualTo(plain.Statistics.ProxyError * after / before).Within(1e-3 * plain.Statistics.ProxyError));
        });
    }

    // Damping is then σ times the squared scales, on both sides.
    [Test]
    public void Fit_Equalized_LowersTheLossByWhatIsReported()
    {
        using var backend = new CpuBackend();
        RoundedLinear plain = Quantize(backend, A, B, fit: false, equalize: true), fitted = Quantize(backend, A, B, fit: true, equalize: true);
        float[] output = [.. plain.Weights.OutputScale.Select(s => s / (float)plain.Statistics.WeightScale)];
        double loss = DenseMatrix.Loss(Dequantize(backend, fitted.Weights) - W, Equalized(A, output), Equalized(B, plain.Weights.InputScale));
        Assert.That(fitted.Statistics.AbsoluteProxyError, Is.EqualTo(loss).Within(1e-3 * loss), "float32 weights and factors");
        Assert.That(fitted.Statistics.AbsoluteProxyError, Is.LessThan(0.99 * plain.Statistics.AbsoluteProxyError));
    }

    // The rounding takes the identity of its own basis for a missing factor, the fit that of the model: no sum of both is an error of anything.
    [TestCase(false, true)]
    [TestCase(true, false)]
    [TestCase(false, false)]
    public void Fit_EqualizedWithoutAFactor_ReportsTheErrorOfTheRounding(bool withOut, bool withIn)
    {
        using var backend = new CpuBackend();
        DenseMatrix? a = withOut ? A : null, b = withIn ? B : null;
        RoundedLinear plain = Quantize(backend, a, b, fit: false, equalize: true), fitted = Quantize(backend, a, b, fit: true, equalize: true);
        float[] output = [.. plain.Weights.OutputScale.Select(s => s / (float)plain.Statistics.WeightScale)];
        double loss = DenseMatrix.Loss(Dequantize(backend, plain.Weights) - W, Metric(a, output), Metric(b, plain.Weights.InputScale));
        Assert.That(plain.Statistics.AbsoluteProxyError, Is.EqualTo(loss).Within(1e-3 * loss), "float32 weights and factors");
        Assert.That(fitted.Statistics with { Seconds = 0 }, Is.EqualTo(plain.Statistics with { Seconds = 0 }));

        static DenseMatrix Metric(DenseMatrix? h, float[] inverse) => h is null
            ? DenseMatrix.From(inverse.Length, inverse.Length, (i, j) => i == j ? 1 / ((double)inverse[i] * inverse[i]) : 0)
            : Equalized(h, inverse);
    }

    // H + σ D², where D⁻¹HD⁻¹ was damped.
    private static DenseMatrix Equalized(DenseMatrix h, float[] inverse)
    {
        double mean = Enumerable.Range(0, h.Rows).Average(i => h[i, i] * inverse[i] * inverse[i]);
        return DenseMatrix.From(h.Rows, h.Rows, (i, j) => h[i, j] + (i == j ? 0.01 * mean / (inverse[i] * inverse[i]) : 0));
    }

    // (A ∘ (XBXᵀ)) δ = diag(A (W − X) B Xᵀ), by Gaussian elimination in float64.
    private static double[] LeastSquares(DenseMatrix x, DenseMatrix w, DenseMatrix a, DenseMatrix b)
    {
        int n = x.Rows;
        DenseMatrix gram = x * b * x.Transposed, gradient = a * (w - x) * b * x.Transposed;
        DenseMatrix m = DenseMatrix.From(n, n, (i, j) => a[i, j] * gram[i, j]);
        double[] r = [.. Enumerable.Range(0, n).Select(i => gradient[i, i])];
        for (int k = 0; k < n; k++)
        {
            for (int i = k + 1; i < n; i++)
            {
                double factor = m[i, k] / m[k, k];
                for (int j = k; j < n; j++)
                    m[i, j] -= factor * m[k, j];
                r[i] -= factor * r[k];
            }
        }
        for (int k = n - 1; k >= 0; k--)
        {
            for (int j = k + 1; j < n; j++)
                r[k] -= m[k, j] * r[j];
            r[k] /= m[k, k];
        }
        return r;
    }

    private static DenseMatrix Uneven(DenseMatrix normal) => DenseMatrix.From(Rows, Columns, (i, j) => (float)(0.02 * normal[i, j] * (1 + i % 3) * (1 + j % 5)));

    private static double[] Change(float[] before, float[] after) => [.. before.Zip(after, (x, y) => (double)y / x - 1)];

    private static DenseMatrix Damped(DenseMatrix h) => h + 0.01 * DenseMatrix.Identity(h.Rows);

    private static DenseMatrix Damped(DenseMatrix? h, int size) => h is null ? DenseMatrix.Identity(size) : Damped(h);

    private static RoundedLinear Quantize(CpuBackend backend, DenseMatrix? a, DenseMatrix? b, bool fit, bool equalize = false)
    {
        using Tensor weights = W.Upload(backend);
        using Tensor? hOut = a?.Upload(backend), hIn = b?.Upload(backend);
        using var factors = new KroneckerFactors("test", hOut, hIn, new FactorEvidence { Source = "test" });
        var options = new LinearQuantizerOptions { Codebook = TrellisCodes.Hybrid(2), FitScales = fit, Equalize = equalize };
        return new LinearQuantizer(backend, options).Quantize("test", 0, weights, factors);
    }

    private static DenseMatrix Dequantize(CpuBackend backend, QuantizedWeights weights)
    {
        using Tensor dense = backend.Allocate(DType.F32, weights.Rows, weights.Columns);
        weights.Dequantize(backend, dense);
        return DenseMatrix.Download(backend, dense);
    }
}
