using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarks.Compute;

/// <summary>Causal attention of one sequence on all cores, forward, backward and one decoding step; the scalar definition for comparison of rates.</summary>
/// <remarks>Rate: operations of the visible (query, key) pairs only, 4·d forward and 10·d backward; work on masked pairs counts as time.</remarks>
[MemoryDiagnoser]
[Config(typeof(Columns))]
public class AttentionBenchmarks
{
    /// <summary>The scalar definition takes seconds for 2048 tokens, at the same rate.</summary>
    private const int ScalarTokens = 128;

    private readonly CpuBackend _backend = new();
    private readonly List<Tensor> _tensors = [];
    private AttentionLayout _layout = null!;
    private AttentionLayout _lastQuery = null!;
    private AttentionLayout _scalarLayout = null!;
    private Tensor _q = null!, _k = null!, _v = null!, _dOutput = null!, _output = null!, _logSumExp = null!, _dq = null!, _dk = null!, _dv = null!;
    private double[] _wideQ = [], _wideK = [], _wideOutput = [], _wideLogSumExp = [];

    /// <summary>SmolLM2-135M and LLaMA-3-8B, one key head group of each kind.</summary>
    [Params("9/3x64", "8/2x128")]
    public string Heads { get; set; } = "";

    [Params(512, 2048)]
    public int Tokens { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        var (heads, keyHeads, dimension) = Shape(Heads);
        _layout = new(heads, keyHeads, dimension, [new(0, Tokens, 0, Tokens)]);
        _lastQuery = _layout with { Sequences = [new(0, 1, 0, Tokens)] };
        _scalarLayout = _layout with { Sequences = [new(0, ScalarTokens, 0, ScalarTokens)] };
        _q = Normal(heads * dimension);
        _k = Normal(keyHeads * dimension);
        _v = Normal(keyHeads * dimension);
        _dOutput = Normal(heads * dimension);
        _output = Normal(heads * dimension);
        _logSumExp = Normal(heads);
        _dq = Normal(heads * dimension);
        _dk = Normal(keyHeads * dimension);
        _dv = Normal(keyHeads * dimension);
        _backend.Attention(_q, _k, _v, _layout, _output, _logSumExp);
        _wideQ = Array.ConvertAll(_q.AsSpan<float>().ToArray(), value => (double)value);
        _wideK = Array.ConvertAll(_k.AsSpan<float>().ToArray(), value => (double)value);
        _wideOutput = new double[_wideQ.Length];
        _wideLogSumExp = new double[Tokens * heads];
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _tensors.ForEach(tensor => tensor.Dispose());
        _backend.Dispose();
    }

    /// <summary>Forward, <see cref="ScalarTokens"/> tokens, one core.</summary>
    [Benchmark]
    public void ScalarReference() => CausalAttention.Forward(_wideQ, _wideK, _wideK, _scalarLayout, _wideOutput, _wideLogSumExp);

    [Benchmark]
    public void Forward() => _backend.Attention(_q, _k, _v, _layout, _output, _logSumExp);

    [Benchmark]
    public void Backward() => _backend.AttentionBackward(_dOutput, _q, _k, _v, _output, _logSumExp, _layout, _dq, _dk, _dv);

    /// <summary>One new token against a cache of <see cref="Tokens"/> keys.</summary>
    [Benchmark]
    public void DecodingStep() => _backend.Attention(_q.SliceRows(0, 1), _k, _v, _lastQuery, _output.SliceRows(0, 1), null);

    private static (int Heads, int KeyHeads, int Dimension) Shape(string text)
    {
        int[] numbers = [.. text.Split('/', 'x').Select(int.Parse)];
        return (numbers[0], numbers[1], numbers[2]);
    }

    private static double GigaFlops(string method, string shape, int tokens)
    {
        var (heads, _, dimension) = Shape(shape);
        double pairs = method switch
        {
            nameof(DecodingStep) => tokens,
            nameof(ScalarReference) => ScalarTokens * (ScalarTokens + 1.0) / 2,
            _ => tokens * (tokens + 1.0) / 2,
        };
        return 1e-9 * pairs * heads * dimension * (method == nameof(Backward) ? 10 : 4);
    }

    private Tensor Normal(int columns)
    {
        Tensor tensor = Tensor.AllocateHost(DType.F32, Tokens, columns);
        Philox.Normal(seed: 7, RandomPurpose.Test, item: (uint)_tensors.Count, tensor.AsSpan<float>());
        _tensors.Add(tensor);
        return tensor;
    }

    private sealed class Columns : ManualConfig
    {
        public Columns() => AddColumn(new ThroughputColumn("GFLOP/s", benchmark => GigaFlops(
            benchmark.Descriptor.WorkloadMethod.Name, (string)benchmark.Parameters[nameof(Heads)], (int)benchmark.Parameters[nameof(Tokens)])));
    }
}
