using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;

namespace FastKron.Native.Benchmarking;

/// <summary>One LLaMA-3-8B-shaped decoder block with random weights on 4 packed sequences of 2,048 tokens: forward, and recompute with backward and weight gradients.</summary>
internal static class BlockBenchmarks
{
    private const int Sequences = 4, Length = 2048;

    /// <summary>The shapes.</summary>
    public static readonly ModelConfig Config = new()
    {
        Family = ModelFamily.Llama,
        VocabularySize = 128256,
        HiddenSize = 4096,
        IntermediateSize = 14336,
        Layers = 32,
        Heads = 32,
        KeyHeads = 8,
        HeadDimension = 128,
        MaxPositions = 8192,
        RmsNormEpsilon = 1e-5f,
        Rotary = new RotarySettings(500000, null),
        TiedHead = false,
        BosToken = null,
        EosTokens = [],
        TensorType = "bfloat16",
    };

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        DType type = backend.ActivationType;
        int tokens = Sequences * Length;
        var workspace = new Workspace(backend);
        var rotary = new RotaryTables(backend, Config);
        ILinear[] linears = [.. BlockLinears.All.Select(kind =>
        {
            (int outputs, int inputs) = kind.Shape(Config);
            return new DenseLinear(backend, kind.ModulePath(0), BenchmarkData.Normal(backend, type, outputs, inputs, scale: 0.02f));
        })];
        Tensor Ones()
        {
            Tensor ones = backend.Allocate(DType.F32, 1, Config.HiddenSize);
            backend.Fill(ones, 1);
            return ones;
        }
        var block = new DecoderBlock(backend, Config, 0, linears, new BlockNorms(Ones(), Ones(), null, null), rotary, workspace);
        PackedBatch batch = PackedBatch.Create(backend, Config, [.. Enumerable.Repeat(new int[Length], Sequences)]);
        Tensor input = BenchmarkData.Normal(backend, type, tokens, Config.HiddenSize), hidden = backend.Allocate(type, tokens, Config.HiddenSize);
        Tensor upstream = BenchmarkData.Normal(backend, type, tokens, Config.HiddenSize), gradient = backend.Allocate(type, tokens, Config.HiddenSize);
        var gradients = new WeightGradients(backend, linears);

        double weights = linears.Sum(l => (double)l.Outputs * l.Inputs);
        double attention = AttentionBenchmarks.ForwardFlops(Sequences, Length, Config.Heads, Config.HeadDimension);
        double forward = 2 * weights * tokens + attention, backward = 4 * weights * tokens + 2.5 * attention;
        Tensor inner = BenchmarkData.Normal(backend, type, tokens, Config.IntermediateSize), down = backend.Allocate(type, tokens, Config.HiddenSize);
        void Forward()
        {
            backend.Convert(input, hidden);
            block.Forward(batch, hidden);
        }
        void Backward()
        {
            backend.Convert(upstream, gradient);
            block.Backward(batch, input, gradient, gradients);
        }
        void ForwardAndBackward()
        {
            // Backward recomputes everything but the down projection, whose output no gradient needs.
            linears[(int)BlockLinear.Down].Forward(inner, down);
            Backward();
        }
        string shape = $"llama-3-8b/{Sequences}x{Length}";
        yield return new TimedOperation($"forward/{shape}", BenchmarkUnit.TeraflopsPerSecond, Forward) { Flops = forward };
        yield return new TimedOperation($"forward+backward/{shape}", BenchmarkUnit.TeraflopsPerSecond, ForwardAndBackward) { Flops = forward + backward };
        yield return new TimedOperation(
            $"recompute+backward/{shape}", BenchmarkUnit.Milliseconds, Backward,
            [.. linears, block, batch, input, hidden, upstream, gradient, inner, down, gradients, rotary, workspace])
        {
            Flops = forward + backward - 2.0 * Config.HiddenSize * Config.IntermediateSize * tokens,
        };
    }

    /// <summary>dW ← dᵀ x for every linear, in the activation type.</summary>
    private sealed class WeightGradients(IBackend backend, IReadOnlyList<ILinear> linears) : ILinearObserver, IDisposable
    {
        private readonly Dictionary<ILinear, Tensor> _gradients = linears.ToDictionary(l => l, l => backend.Allocate(backend.ActivationType, l.Outputs, l.Inputs));

        public void Observe(ILinear linear, Tensor x, Tensor d) => backend.MatMul(d, transposeA: true, x, transposeB: false, _gradients[linear]);

        public void Dispose()
        {
            foreach (Tensor gradient in _gradients.Values)
                gradient.Dispose();
        }
    }
}
