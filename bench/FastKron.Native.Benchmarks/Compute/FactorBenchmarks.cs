using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarks.Compute;

/// <summary>Float64 factorizations of one Hessian factor, and a half-step of the likelihood solver on 16 square gradients of the same order.</summary>
/// <remarks>Rates count the textbook operations: n³/3 for a factorization, as much for an inverse, K·n³ for each triangular half of a half-step,
/// twice that for the first product of a dense one.</remarks>
[MemoryDiagnoser]
[Config(typeof(Columns))]
public class FactorBenchmarks
{
    private const int Block = 16, Gradients = 16;

    private readonly CpuBackend _backend = new();
    private Tensor _h = null!, _work = null!, _lower = null!, _d = null!, _failures = null!, _stack = null!, _root = null!, _factor = null!;

    /// <summary>Layers of SmolLM2-135M.</summary>
    [Params(576, 1536)]
    public int Order { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _h = _backend.Allocate(DType.F64, Order, Order);
        _work = _backend.Allocate(DType.F64, Order, Order);
        _lower = _backend.Allocate(DType.F32, Order, Order);
        _d = _backend.Allocate(DType.F64, Order, Block);
        _failures = _backend.Allocate(DType.I32, 1, 1);
        _stack = _backend.Allocate(DType.BF16, Order, Gradients * Order);
        _root = _backend.Allocate(DType.F32, Order, Order);
        _factor = _backend.Allocate(DType.F32, Order, Order);
        using Tensor values = _backend.Allocate(DType.F32, Order, Gradients * Order);
        Philox.Normal(seed: 7, RandomPurpose.Test, item: 0, values.AsSpan<float>());
        _backend.Convert(values, _stack);
        _backend.KroneckerGram(_stack, Gradients, KroneckerSide.Rows, root: null, _factor);
        _backend.Convert(_factor, _h);
        Prepare();
        _backend.InverseRoot(_work, out _);
        _backend.Convert(_work, _root);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (Tensor tensor in new[] { _h, _work, _lower, _d, _failures, _stack, _root, _factor })
            tensor.Dispose();
        _backend.Dispose();
    }

    /// <summary>Includes a copy of the matrix, as the next does.</summary>
    [Benchmark]
    public int InverseRoot()
    {
        Prepare();
        return _backend.InverseRoot(_work, out _);
    }

    [Benchmark]
    public void BlockLdl()
    {
        Prepare();
        _backend.BlockLdl(_work, Block, _lower, _d, _failures);
    }

    [Benchmark]
    public void KroneckerGramRows() => _backend.KroneckerGram(_stack, Gradients, KroneckerSide.Rows, _root, _factor);

    [Benchmark]
    public void KroneckerGramColumns() => _backend.KroneckerGram(_stack, Gradients, KroneckerSide.Columns, _root, _factor);

    /// <summary>The dense form, which Lanczos needs.</summary>
    [Benchmark]
    public void KroneckerApplyRows() => _backend.KroneckerApply(_stack, Gradients, KroneckerSide.Rows, _root, _factor);

    private void Prepare() => _backend.Convert(_h, _work);

    private sealed class Columns : ManualConfig
    {
        public Columns() => AddColumn(new ThroughputColumn("GFLOP/s", benchmark =>
        {
            double n = (int)benchmark.Parameters[nameof(Order)];
            string method = benchmark.Descriptor.WorkloadMethod.Name;
            return 1e-9 * n * n * n * method switch
            {
                nameof(KroneckerApplyRows) => 3 * Gradients,
                nameof(KroneckerGramRows) or nameof(KroneckerGramColumns) => 2 * Gradients,
                nameof(InverseRoot) => 2.0 / 3,
                _ => 1.0 / 3,
            };
        }));
    }
}
