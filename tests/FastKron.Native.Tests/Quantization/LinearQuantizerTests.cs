using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;
using FastKron.Native.Incoherence;
using FastKron.Native.Models;
using FastKron.Native.Quantization;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Rounding;
using NUnit.Framework;

namespace FastKron.Native.Tests.Quantization;

public sealed class LinearQuantizerTests
{
    private const string Name = "model.layers.0.mlp.up_proj";
    private const int Rows = 64;
    private const int Columns = 96;

    private static readonly DenseMatrix W = Weights(Rows, Columns);
    private static readonly DenseMatrix A = DenseMatrix.Covariance(Rows, seed: 2);
    private static readonly DenseMatrix B = DenseMatrix.Covariance(Columns, seed: 3);

    // 2112 tiles fill 132 multiprocessors eight times; a 14336 × 4096 matrix needs 1.8 GB, and 3.3 GB to factorise its larger side.
    [TestCase(60, 2112, 40e9, 576, 576, ExpectedResult = 60, Description = "2160 tiles rather than 1080 twice")]
    [TestCase(64, 2112, 40e9, 4096, 4096, ExpectedResult = 8)]
    [TestCase(22, 2112, 40e9, 4096, 4096, ExpectedResult = 8, Description = "8, 8, 6")]
    [TestCase(64, 2112, 40e9, 14336, 4096, ExpectedResult = 8)]
    [TestCase(64, 2112, 7e9, 14336, 4096, ExpectedResult = 2)]
    [TestCase(64, 2112, 1e9, 14336, 4096, ExpectedResult = 1)]
    [TestCase(7, 2, 40e9, 576, 1536, ExpectedResult = 1)]
    [TestCase(1, 2112, 40e9, 4096, 4096, ExpectedResult = 1)]
    public int BatchSize_TilesAndMemory_TakesTheFewer(int matrices, int tiles, double bytes, int rows, int columns) => LinearQuantizer.BatchSize(matrices, tiles, (long)bytes, rows, columns);

    // Mean squared error of the encoder alone on 400 Gaussian tiles at scale 0.9; 60 tiles have a standard error of 1 to 3 %.
    [TestCase(2, 0.0718)]
    [TestCase(3, 0.0190)]
    [TestCase(4, 0.0061)]
    public void Quantize_WithoutFactors_HasTheCodesError(int bits, double expected)
    {
        using var backend = new CpuBackend();
        DenseMatrix w = Weights(96, 160);
        RoundedLinear quantized = Quantize(backend, w, null, null, bits);
        double actual = (Dequantize(backend, quantized) - w).SquaredNorm / w.SquaredNorm;
        Assert.Multiple(() =>
        {
            Assert.That(actual, Is.EqualTo(expected).Within(0.06 * expected));
            Assert.That(quantized.Statistics.RelativeWeightError, Is.EqualTo(actual).Within(1e-4 * actual));
            Assert.That(quantized.Statistics.ProxyError, Is.EqualTo(quantized.Statistics.RelativeWeightError).Within(1e-6));
            Assert.That(quantized.Statistics.Method, Is.EqualTo("none"));
            Assert.That(quantized.Statistics.Fallback, Is.Null);
            Assert.That((quantized.Statistics.DampingOut, quantized.Statistics.DampingIn), Is.EqualTo((0.0, 0.0)));
        });
    }

    // The reported errors against the dense trace in the basis of the model: rotation, scale, damping and the residual identity all enter.
    [TestCase(true, true, "two-sided")]
    [TestCase(false, true, "ldlq")]
    [TestCase(true, false, "ldlq-output")]
    public void Quantize_WithFactors_ReportsTheDenseTraces(bool withOut, bool withIn, string method)
    {
        using var backend = new CpuBackend();
        RoundedLinear quantized = Quantize(backend, W, withOut ? A : null, withIn ? B : null);
        DenseMatrix a = withOut ? A + 0.01 * DenseMatrix.Identity(Rows) : DenseMatrix.Identity(Rows);
        DenseMatrix b = withIn ? B + 0.01 * DenseMatrix.Identity(Columns) : DenseMatrix.Identity(Columns);
        double loss = DenseMatrix.Loss(Dequantize(backend, quantized) - W, a, b), whole = DenseMatrix.Loss(W, a, b);
        RoundingStatistics statistics = quantized.Statistics;
        Assert.Multiple(() =>
        {
            Assert.That(statistics.Method, Is.EqualTo(method));
            Assert.That(statistics.AbsoluteProxyError, Is.EqualTo(loss).Within(1e-3 * loss), "float32 weights and l");
            Assert.That(statistics.ProxyError, Is.EqualTo(loss / whole).Within(1e-3 * loss / whole));
            Assert.That((statistics.DampingOut, statistics.DampingIn), Is.EqualTo((withOut ? 0.01 : 0, withIn ? 0.01 : 0)));
            Assert.That(statistics.Seconds, Is.Positive);
        });
    }

    // Damping is added where the scales are part of the factors: seen from the model it is σ times the squared scales.
    [Test]
    public void Quantize_Equalized_ReportsTheDenseTracesAndLowersThem()
    {
        using var backend = new CpuBackend();
        RoundedLinear plain = Quantize(backend, W, A, B), equalized = Quantize(backend, W, A, B, Options(2) with { Equalize = true });
        float[] input = equalized.Weights.InputScale, output = [.. equalized.Weights.OutputScale.Select(s => s / (float)equalized.Statistics.WeightScale)];
        double loss = DenseMatrix.Loss(Dequantize(backend, equalized) - W, Damped(A, output), Damped(B, input));
        Assert.That(equalized.Statistics.AbsoluteProxyError, Is.EqualTo(loss).Within(1e-3 * loss), "float32 weights and l");
        Assert.That(input.Select(Math.Abs).Max(), Is.GreaterThan(1.2f), "columns of W differ five-fold");

        double plainLoss = DenseMatrix.Loss(Dequantize(backend, plain) - W, A, B), equalizedLoss = DenseMatrix.Loss(Dequantize(backend, equalized) - W, A, B);
        TestContext.Out.WriteLine($"equalised {equalizedLoss:F3}, not {plainLoss:F3}");
        Assert.That(equalizedLoss, Is.LessThan(0.9 * plainLoss), "predicted: the geometric mean over the arithmetic mean of the energies, 0.6 here");

        static DenseMatrix Damped(DenseMatrix h, float[] inverse)
        {
            double mean = Enumerable.Range(0, h.Rows).Average(i => h[i, i] * inverse[i] * inverse[i]);
            return DenseMatrix.From(h.Rows, h.Rows, (i, j) => h[i, j] + (i == j ? 0.01 * mean / (inverse[i] * inverse[i]) : 0));
        }
    }

    // Known before rounding: the residual is white, and its size the code's distortion. 24 tiles have an error of 3 %. Feedback widens the targets, the more
    // the coarser the code: for factors as spiky as these to beyond what the 2-bit code was scaled for.
    [TestCase(2, 0.6, 1.0)]
    [TestCase(4, 0.85, 1.05)]
    public void WhiteLosses_TimesDistortion_PredictTheLoss(int bits, double least, double most)
    {
        using var backend = new CpuBackend();
        LinearQuantizerOptions options = Options(bits) with { Equalize = true };
        var quantizer = new LinearQuantizer(backend, options);
        using Tensor weights = W.Upload(backend);
        using var factors = new KroneckerFactors(Name, A.Upload(backend), B.Upload(backend), new FactorEvidence { Source = "test" });
        using LinearBatch batch = quantizer.Prepare([new LinearInput(Name, 6, weights, factors)]);
        double predicted = quantizer.Distortion() * batch.WhiteLosses().Single();
        batch.Round();
        Assert.That(predicted / batch.Collect().Single().Statistics.AbsoluteProxyError, Is.InRange(least, most));
    }

    [Test]
    public void Quantize_BetterMetric_LowersTheTrueLoss()
    {
        using var backend = new CpuBackend();
        double Loss(DenseMatrix? a, DenseMatrix? b) => DenseMatrix.Loss(Dequantize(backend, Quantize(backend, W, a, b)) - W, A, B);
        double none = Loss(null, null), ldlq = Loss(null, B), twoSided = Loss(A, B);
        TestContext.Out.WriteLine($"two-sided {twoSided:F3}, LDLQ {ldlq:F3}, none {none:F3}");
        Assert.That(ldlq, Is.LessThan(0.8 * none));
        Assert.That(twoSided, Is.LessThan(0.8 * ldlq));
    }

    [Test, RequiresGpu]
    public void Quantize_CostsInPackedHalf_LeaveTheErrorAlone([Values(2, 3, 4)] int bits)
    {
        const int Large = 512;
        using var gpu = new GpuBackend(0);
        DenseMatrix w = Weights(Large, Large), a = DenseMatrix.Covariance(Large, seed: 2), b = DenseMatrix.Covariance(Large, seed: 3);
        double Error(CostPrecision costs) => Quantize(gpu, w, a, b, Options(bits) with { Costs = costs }).Statistics.ProxyError;
        double exact = Error(CostPrecision.Exact), packed = Error(CostPrecision.PackedHalf);
        TestContext.Out.WriteLine($"{bits} bits: exact {exact:G5}, packed half {packed:G5}");
        Assert.That(packed, Is.EqualTo(exact).Within(0.02 * exact), "1,024 tiles whose errors vary by a tenth: two such sums differ by half a percent");
    }

    // Encoded, packed and multiplied with on the device, decoded on the host; activations are rounded to bf16 on the way in and out.
    [Test, RequiresGpu]
    public void Quantize_EveryCodeOnTheGpu_ForwardAgreesWithTheDecodedMatrix([Values("1mad", "3inst", "mcg", "mul1")] string code, [Values(1, 2, 5, 8)] int bits, [Values(5, 20)] int tokens)
    {
        using var gpu = new GpuBackend();
        using var cpu = new CpuBackend();
        RoundedLinear quantized = Quantize(gpu, W, A, B, Options(2) with { Codebook = TrellisOperands.Code(code, bits), Layout = TrellisLayout.QtipPlain });
        DenseMatrix x = DenseMatrix.Normal(tokens, Columns, seed: 4), expected = x * Dequantize(cpu, quantized).Transposed;
        using var workspace = new Workspace(gpu);
        using var linear = new QuantizedLinear(gpu, quantized.Weights, workspace);
        using Tensor single = x.Upload(gpu), narrow = gpu.Allocate(DType.BF16, tokens, Columns), y = gpu.Allocate(DType.BF16, tokens, Rows), wide = gpu.Allocate(DType.F32, tokens, Rows);
        gpu.Convert(single, narrow);
        linear.Forward(narrow, y);
        gpu.Convert(y, wide);
        float[] actual = new float[tokens * Rows];
        gpu.Download<float>(wide, actual);
        double error = DenseMatrix.From(tokens, Rows, (t, i) => actual[t * Rows + i] - expected[t, i]).SquaredNorm / expected.SquaredNorm;
        Assert.That(Math.Sqrt(error), Is.LessThan(SelfTest.Tolerance(gpu)));
    }

    [Test]
    public void Dequantize_FactoredForward_AgreesWithDenseForward([Values(2, 3, 4)] int bits)
    {
        using var backend = new CpuBackend();
        RoundedLinear quantized = Quantize(backend, W, A, B, bits);
        DenseMatrix x = DenseMatrix.Normal(5, Columns, seed: 4), expected = x * Dequantize(backend, quantized).Transposed;

        // y = SV ∘ U_m Ŵ U_nᵀ (SU ∘ x).
        using Tensor activations = x.Upload(backend), y = backend.Allocate(DType.F32, 5, Rows);
        using Tensor codes = backend.Allocate(DType.U16, Rows / 16 * (Columns / 16), quantized.Weights.Codebook.PackedWords);
        using Tensor inputScale = backend.Allocate(DType.F32, 1, Columns), outputScale = backend.Allocate(DType.F32, 1, Rows);
        backend.Upload<ushort>(quantized.Weights.Codes, codes);
        backend.Upload<float>(quantized.Weights.InputScale, inputScale);
        backend.Upload<float>(quantized.Weights.OutputScale, outputScale);
        backend.Hadamard(activations, HadamardFactors.For(Columns), inputScale, HadamardAxis.Rows, inverse: false);
        backend.TrellisMatMul(activations, new TrellisMatrix(codes, quantized.Weights.Codebook, quantized.Weights.Layout, Rows, Columns), y);
        backend.Hadamard(y, HadamardFactors.For(Rows), outputScale, HadamardAxis.Rows, inverse: true);
        double error = Math.Sqrt((DenseMatrix.Download(backend, y) - expected).SquaredNorm / expected.SquaredNorm);
        Assert.That(error, Is.LessThan(1e-5), "float32 throughout; the specification allows 2e-3 in float16");
    }

    [Test]
    public void Quantize_Scales_AreSignsAndOneScale()
    {
        using var backend = new CpuBackend();
        RoundedLinear quantized = Quantize(backend, W, A, B);
        double scale = Math.Sqrt(W.SquaredNorm / (Rows * Columns)) / (0.9 * 0.969);
        Assert.Multiple(() =>
        {
            Assert.That(quantized.Weights.InputScale, Has.Length.EqualTo(Columns).And.All.Matches<float>(s => Math.Abs(s) == 1));
            Assert.That(quantized.Weights.OutputScale, Has.Length.EqualTo(Rows).And.All.Matches<float>(s => Math.Abs(s) == (float)quantized.Statistics.WeightScale));
            Assert.That(quantized.Statistics.WeightScale, Is.EqualTo(scale).Within(0.004 * scale), "root mean square of the HYB table is 0.969 ± 0.003");
            Assert.That(quantized.Weights.Codes, Has.Length.EqualTo(Rows * Columns / 256 * 32));
        });
    }

    [Test]
    public void Quantize_NegatedOrRescaledFactors_GivesTheSameCodes()
    {
        using var backend = new CpuBackend();
        ushort[] codes = Quantize(backend, W, A, B).Weights.Codes;
        Assert.That(Quantize(backend, W, -1 * A, -1 * B).Weights.Codes, Is.EqualTo(codes));
        Assert.That(Quantize(backend, W, 1024 * A, 1.0 / 64 * B).Weights.Codes, Is.EqualTo(codes));
    }

    [Test]
    public void Quantize_AnyNumberOfThreads_GivesTheSameBits()
    {
        RoundedLinear One(int threads)
        {
            using var backend = new CpuBackend(threads);
            return Quantize(backend, W, A, B);
        }
        RoundedLinear expected = One(1), actual = One(3);
        Assert.That(actual.Weights.Codes, Is.EqualTo(expected.Weights.Codes));
        Assert.That(actual.Weights.OutputScale, Is.EqualTo(expected.Weights.OutputScale));
        Assert.That(actual.Statistics with { Seconds = 0 }, Is.EqualTo(expected.Statistics with { Seconds = 0 }));
    }

    [Test]
    public void Quantize_SeedOrMatrixNumber_ChangesTheRotation()
    {
        using var backend = new CpuBackend();
        using Tensor weights = W.Upload(backend);
        RoundedLinear One(ulong seed, uint matrix) => new LinearQuantizer(backend, Options(2) with { Seed = seed }).Quantize(Name, matrix, weights, null);
        RoundedLinear first = One(1, 1);
        Assert.That(One(1, 1).Weights.Codes, Is.EqualTo(first.Weights.Codes));
        Assert.That(One(2, 1).Weights.InputScale, Is.Not.EqualTo(first.Weights.InputScale));
        Assert.That(One(1, 2).Weights.InputScale, Is.Not.EqualTo(first.Weights.InputScale));
    }

    [TestCase(true, false, "ldlq", "output factor unused: it holds NaN or infinity")]
    [TestCase(false, true, "ldlq-output", "input factor unused: it holds NaN or infinity")]
    [TestCase(true, true, "none", "output factor unused: it holds NaN or infinity; input factor unused: it holds NaN or infinity")]
    public void Quantize_UnusableFactor_FallsBackAndSaysWhy(bool badOut, bool badIn, string method, string reason)
    {
        DenseMatrix a = A + new DenseMatrix(Rows, Rows), b = B + new DenseMatrix(Columns, Columns);
        if (badOut)
            a[3, 3] = double.NaN;
        if (badIn)
            b[5, 2] = b[2, 5] = double.NegativeInfinity;
        using var backend = new CpuBackend();
        RoundedLinear quantized = Quantize(backend, W, a, b);
        Assert.That(quantized.Statistics.Method, Is.EqualTo(method));
        Assert.That(quantized.Statistics.Fallback, Is.EqualTo(reason));
        Assert.That(quantized.Weights.Codes, Is.EqualTo(Quantize(backend, W, badOut ? null : A, badIn ? null : B).Weights.Codes));
    }

    [Test]
    public void Quantize_RankDeficientFactors_AreDamped()
    {
        using var backend = new CpuBackend();
        DenseMatrix ones = DenseMatrix.From(Columns, Columns, (_, _) => 1);
        RoundingStatistics statistics = Quantize(backend, W, null, ones).Statistics;
        Assert.That((statistics.Method, statistics.DampingIn, statistics.Fallback), Is.EqualTo(("ldlq", 0.01, (string?)null)));
    }

    [Test]
    public void Quantize_ZeroMatrix_DequantizesToZero()
    {
        using var backend = new CpuBackend();
        RoundedLinear quantized = Quantize(backend, new DenseMatrix(32, 64), null, null);
        Assert.That(Dequantize(backend, quantized).SquaredNorm, Is.Zero);
        Assert.That((quantized.Statistics.ProxyError, quantized.Statistics.RelativeWeightError, quantized.Statistics.WeightScale), Is.EqualTo((0.0, 0.0, 0.0)));
    }

    [TestCase(double.NaN)]
    [TestCase(double.PositiveInfinity)]
    public void Quantize_WeightsNotFinite_NamesTheMatrix(double value)
    {
        using var backend = new CpuBackend();
        var w = new DenseMatrix(32, 32) { [7, 9] = value };
        Assert.That(() => Quantize(backend, w, null, null), Throws.TypeOf<InvalidDataException>().With.Message.Contains($"{Name}.weight (32, 32)"));
    }

    [TestCase(172, 64, "172 outputs: no multiple of 32")]
    [TestCase(64, 48, "48 inputs: no multiple of 32")]
    [TestCase(0, 64, "0 outputs: no multiple of 32")]
    [TestCase(7200, 64, "7200 outputs: no Hadamard matrix; 7200 is not 2^p times")]
    [TestCase(64, 7200, "7200 inputs: no Hadamard matrix; 7200 is not 2^p times")]
    public void CheckShape_Refused_SaysWhy(int rows, int columns, string reason)
    {
        Assert.That(LinearQuantizer.CheckShape(rows, columns), Does.StartWith(reason));
        using var backend = new CpuBackend();
        using Tensor w = backend.Allocate(DType.F32, rows, columns);
        Assert.That(() => new LinearQuantizer(backend, Options(2)).Quantize(Name, 0, w, null), Throws.TypeOf<NotSupportedException>().With.Message.Contains(reason));
    }

    [TestCase(32, 32)]
    [TestCase(576, 1536)]
    [TestCase(14336, 4096)]
    [TestCase(25600, 5120)]
    public void CheckShape_Supported_IsNull(int rows, int columns) => Assert.That(LinearQuantizer.CheckShape(rows, columns), Is.Null);

    [Test]
    public void Quantize_FactorOfAnotherMatrix_Throws()
    {
        using var backend = new CpuBackend();
        Assert.That(() => Quantize(backend, W, B, B), Throws.ArgumentException.With.Message.Contains("output factor of (64, 64)"));
    }

    [Test]
    public void Quantize_Cancelled_Stops()
    {
        using var backend = new CpuBackend();
        using Tensor weights = W.Upload(backend);
        Assert.That(
            () => new LinearQuantizer(backend, Options(2)).Quantize(Name, 0, weights, null, new CancellationToken(canceled: true)),
            Throws.InstanceOf<OperationCanceledException>());
    }

    // Not isotropic, so that the rotation matters; not of mean square 1, so that the scale does.
    private static DenseMatrix Weights(int rows, int columns)
    {
        DenseMatrix normal = DenseMatrix.Normal(rows, columns, seed: 1);
        return DenseMatrix.From(rows, columns, (i, j) => (float)(0.02 * normal[i, j] * (1 + i % 3) * (1 + j % 5)));
    }

    private static LinearQuantizerOptions Options(int bits) => new() { Codebook = TrellisCodes.Hybrid(bits), Seed = 1 };

    private static RoundedLinear Quantize(CpuBackend backend, DenseMatrix w, DenseMatrix? a, DenseMatrix? b, int bits = 2) => Quantize(backend, w, a, b, Options(bits));

    private static RoundedLinear Quantize(IBackend backend, DenseMatrix w, DenseMatrix? a, DenseMatrix? b, LinearQuantizerOptions options)
    {
        using var host = new CpuBackend();
        using Tensor weights = w.Upload(backend);
        using var factors = new KroneckerFactors(Name, a?.Upload(host), b?.Upload(host), new FactorEvidence { Source = "test" });
        return new LinearQuantizer(backend, options).Quantize(Name, matrix: 6, weights, factors);
    }

    private static DenseMatrix Dequantize(CpuBackend backend, RoundedLinear quantized)
    {
        using Tensor dense = backend.Allocate(DType.F32, quantized.Weights.Rows, quantized.Weights.Columns);
        quantized.Weights.Dequantize(backend, dense);
        return DenseMatrix.Download(backend, dense);
    }
}
