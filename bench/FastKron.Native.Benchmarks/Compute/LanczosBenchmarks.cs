using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarks.Compute;

/// <summary>Orthogonalisation of a Lanczos vector of 576 × 576 numbers against a basis.</summary>
/// <remarks>Rates count the least bytes: three readings of the basis, five of the vector. The basis is short, so that repeating changes the vector little.</remarks>
[MemoryDiagnoser]
[Config(typeof(Columns))]
public class LanczosBenchmarks
{
    private const int Order = 576;

    private readonly CpuBackend _backend = new();
    private Tensor[] _basis = [];
    private Tensor _x = null!;

    /// <summary>Vectors of the basis: early, at the default's last step, at the published one.</summary>
    [Params(4, 12, 34)]
    public int Count { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _x = Vector(0, 1);
        _basis = [.. Enumerable.Range(1, Count).Select(i => Vector((uint)i, 1e-3f / Order))];
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (Tensor tensor in _basis.Append(_x))
            tensor.Dispose();
        _backend.Dispose();
    }

    [Benchmark]
    public double Orthogonalize() => _backend.Orthogonalize(_basis, _x);

    private Tensor Vector(uint item, float scale)
    {
        Tensor vector = _backend.Allocate(DType.F32, Order, Order);
        Philox.Normal(seed: 7, RandomPurpose.Test, item, vector.AsSpan<float>());
        _backend.Scale(scale, vector);
        return vector;
    }

    private sealed class Columns : ManualConfig
    {
        public Columns() => AddColumn(new ThroughputColumn("GB/s", benchmark => 1e-9 * sizeof(float) * Order * Order * (3.0 * (int)benchmark.Parameters[nameof(Count)] + 5)));
    }
}
