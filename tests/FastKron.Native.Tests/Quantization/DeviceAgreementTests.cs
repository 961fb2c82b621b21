using FastKron.Native.Calibration;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Evaluation;
using FastKron.Native.Fisher;
using FastKron.Native.Formats;
using FastKron.Native.Generation;
using FastKron.Native.Models;
using FastKron.Native.Quantization;
using NUnit.Framework;

namespace FastKron.Native.Tests.Quantization;

/// <summary>Whole models on the CPU and on the GPU: the same draws, the same quality, the same bytes from run to run.</summary>
[RequiresGpu]
public sealed class DeviceAgreementTests
{
    private const int Gradients = 16, Tokens = 16_384, Context = 256;

    private string _folder = "";

    [SetUp]
    public void SetUp() => _folder = Directory.CreateTempSubdirectory("fastkron-devices-").FullName;

    [TearDown]
    public void TearDown() => Directory.Delete(_folder, recursive: true);

    // bf16 activations move logits by about 1e-2; 97 % is what issue and design accept.
    [TestCase("tiny-llama")]
    [TestCase("tiny-qwen3")]
    public void SampledLabels_SameModelAndSeed_AgreeBetweenDevices(string name)
    {
        using IBackend cpu = new CpuBackend(), gpu = new GpuBackend();
        int[][] sequences = [.. Calibration(name, cpu).Sequences];
        int[] expected = Labels(name, cpu, sequences), actual = Labels(name, gpu, sequences);
        int equal = expected.Zip(actual).Count(pair => pair.First == pair.Second);
        TestContext.Out.WriteLine($"{name}: {100.0 * equal / expected.Length:F2} % of {expected.Length} labels agree");
        Assert.That((double)equal / expected.Length, Is.GreaterThanOrEqualTo(0.97));
    }

    [TestCase("tiny-llama")]
    [TestCase("tiny-qwen3")]
    public async Task QuantizeAsync_SameIdsOnBothDevices_DivergenceAgreesWithinItsStandardError(string name)
    {
        using IBackend cpu = new CpuBackend(), gpu = new GpuBackend();
        string ids = Path.Combine(_folder, "calibration.ids");
        Calibration(name, cpu).Save(ids);
        DivergenceSummary onCpu = await DivergenceAsync(name, ids, cpu, cpu), onGpu = await DivergenceAsync(name, ids, gpu, cpu);
        TestContext.Out.WriteLine($"{name}: KL {onCpu.Mean:F4} ± {onCpu.StandardError:F4} (CPU), {onGpu.Mean:F4} (GPU)");
        Assert.That(onGpu.Mean, Is.EqualTo(onCpu.Mean).Within(onCpu.StandardError));
    }

    [Test]
    public async Task QuantizeAsync_TwiceOnTheGpu_GivesTheSameBytes()
    {
        using IBackend gpu = new GpuBackend();
        string ids = Path.Combine(_folder, "calibration.ids");
        Calibration("tiny-qwen3", gpu).Save(ids);
        byte[] first = await File.ReadAllBytesAsync(Path.Combine(await QuantizeAsync("tiny-qwen3", ids, gpu, "first"), "model.safetensors"));
        byte[] second = await File.ReadAllBytesAsync(Path.Combine(await QuantizeAsync("tiny-qwen3", ids, gpu, "second"), "model.safetensors"));
        Assert.That(second.AsSpan().SequenceEqual(first));
    }

    // One quantized folder, used by both devices: logits on the GPU are of bf16 activations, whose noise is far below that of 3 bits.
    [Test]
    public async Task QuantizeAsync_ComputedCodeOnTheGpu_EvaluatesAndGeneratesThere([Values(TrellisCode.OneMad, TrellisCode.ThreeInstructions, TrellisCode.MultipliedSums)] TrellisCode code)
    {
        using IBackend cpu = new CpuBackend(), gpu = new GpuBackend();
        string ids = Path.Combine(_folder, "calibration.ids");
        Calibration("tiny-llama", gpu).Save(ids);
        string output = await QuantizeAsync("tiny-llama", ids, gpu, $"{code}", code, bits: 3);
        DivergenceSummary onGpu = Divergence("tiny-llama", output, gpu), onCpu = Divergence("tiny-llama", output, cpu);
        TestContext.Out.WriteLine($"{code}: KL {onCpu.Mean:F4} ± {onCpu.StandardError:F4} (CPU), {onGpu.Mean:F4} (GPU)");
        Assert.That(onGpu.Mean, Is.EqualTo(onCpu.Mean).Within(onCpu.StandardError));

        using ModelFolder folder = ModelFolder.Open(output);
        using DecoderModel model = DecoderModel.Load(folder, gpu);
        GenerationResult result = new TextGenerator(model).Generate([1, 2, 3], new GenerationOptions { MaxTokens = 8 });
        Assert.That(result.Reason == StopReason.EndOfSequence || result.Tokens.Count == 8);
    }

    private static CalibrationSet Calibration(string name, IBackend backend)
    {
        using ModelFolder folder = ModelFolder.Open(SharedData.Model(name));
        using DecoderModel model = DecoderModel.Load(folder, backend);
        (IReadOnlyList<int[]> sequences, int documents) = SelfCalibration.Sample(model, Tokens, Context, seed: 3);
        return CalibrationSet.Create(sequences, "self", documents);
    }

    private static int[] Labels(string name, IBackend backend, int[][] sequences)
    {
        using ModelFolder folder = ModelFolder.Open(SharedData.Model(name));
        using DecoderModel model = DecoderModel.Load(folder, backend);
        using PackedBatch batch = PackedBatch.Create(backend, folder.Config, sequences);
        using Tensor hidden = backend.Allocate(backend.ActivationType, batch.Tokens, folder.Config.HiddenSize), gradient = backend.Allocate(backend.ActivationType, batch.Tokens, folder.Config.HiddenSize);
        using Tensor labels = backend.Allocate(DType.I32, 1, batch.Tokens);
        model.Embed(batch, hidden);
        model.Forward(batch, hidden);
        LossGradient.FromSampledLabels(model, hidden, seed: 11, firstToken: 0, labels, scale: 1f / batch.Tokens, gradient);
        int[] result = new int[batch.Tokens];
        backend.Download<int>(labels, result);
        return result;
    }

    // Both results are measured on the same device and text.
    private async Task<DivergenceSummary> DivergenceAsync(string name, string ids, IBackend backend, IBackend judge)
    {
        string output = await QuantizeAsync(name, ids, backend, $"{name}-{(backend is GpuBackend ? "gpu" : "cpu")}");
        return Divergence(name, output, judge);
    }

    private static DivergenceSummary Divergence(string original, string quantized, IBackend judge)
    {
        var evaluation = new EvaluationOptions { Model = quantized, Original = SharedData.Model(original), Texts = ["self:16384"], BlockLength = 256 };
        return ModelEvaluation.Run(evaluation, judge).Texts.Single().Divergence!;
    }

    private async Task<string> QuantizeAsync(string name, string ids, IBackend backend, string output, TrellisCode? code = null, double bits = 2)
    {
        var options = new QuantizationOptions
        {
            Model = SharedData.Model(name),
            Output = Path.Combine(_folder, output),
            Calibration = [ids],
            Code = code,
            Bits = bits,
            Fisher = new FisherOptions { Gradients = Gradients },
        };
        await QuantizationRun.QuantizeAsync(options, backend, (path, token) => Task.FromResult(ModelDigest.OfFolder(path, backend, token)));
        return options.Output;
    }
}
