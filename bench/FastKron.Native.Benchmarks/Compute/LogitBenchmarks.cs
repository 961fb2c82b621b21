using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarks.Compute;

/// <summary>What is done with rows of logits, on all cores: labels drawn, loss, its gradient, comparison of two models; the scalar draw as baseline.</summary>
[MemoryDiagnoser]
[Config(typeof(Columns))]
public class LogitBenchmarks
{
    private const int Rows = 64;

    private readonly CpuBackend _backend = new();
    private readonly int[] _drawn = new int[Rows];
    private Tensor _logits = null!, _other = null!, _gradient = null!, _labels = null!, _losses = null!, _statistics = null!;

    /// <summary>tiny-llama, SmolLM2 and LLaMA-3.</summary>
    [Params(2048, 49152, 128256)]
    public int Vocabulary { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _logits = Normal(item: 0);
        _other = Normal(item: 1);
        _gradient = Normal(item: 2);
        _labels = Tensor.AllocateHost(DType.I32, 1, Rows);
        _labels.AsSpan<int>().Clear();
        _losses = Tensor.AllocateHost(DType.F32, 1, Rows);
        _statistics = Tensor.AllocateHost(DType.F32, Rows, LogitStatistics.Count);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (Tensor tensor in new[] { _logits, _other, _gradient, _labels, _losses, _statistics })
            tensor.Dispose();
        _backend.Dispose();
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = Rows)]
    public int[] ScalarDraw()
    {
        for (int t = 0; t < Rows; t++)
            _drawn[t] = LabelSampling.Draw(_logits.Row<float>(t), seed: 1, RandomPurpose.Labels, (uint)t);
        return _drawn;
    }

    [Benchmark(OperationsPerInvoke = Rows)]
    public void SampleLabels() => _backend.SampleLabels(_logits, seed: 1, RandomPurpose.Labels, firstToken: 0, _labels);

    [Benchmark(OperationsPerInvoke = Rows)]
    public void CrossEntropy() => _backend.CrossEntropy(_logits, _labels, _losses);

    /// <summary>In place: repeated calls see a flat row, which takes as long.</summary>
    [Benchmark(OperationsPerInvoke = Rows)]
    public void CrossEntropyBackward() => _backend.CrossEntropyBackward(_gradient, _labels, scale: 1);

    [Benchmark(OperationsPerInvoke = Rows)]
    public void CompareLogits() => _backend.CompareLogits(_logits, _other, _labels, _statistics);

    private Tensor Normal(uint item)
    {
        Tensor tensor = Tensor.AllocateHost(DType.F32, Rows, Vocabulary);
        Philox.Normal(seed: 7, RandomPurpose.Test, item, tensor.AsSpan<float>());
        _backend.Scale(3, tensor);
        return tensor;
    }

    private sealed class Columns : ManualConfig
    {
        public Columns() => AddColumn(new ThroughputColumn("tokens/s", _ => 1));
    }
}
