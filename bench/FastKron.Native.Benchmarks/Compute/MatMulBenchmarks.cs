using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarks.Compute;

/// <summary>y = x · Wᵀ on all cores against OpenBLAS on as many threads: a cube, layers of SmolLM2-135M, a token of generation, the smallest updates.</summary>
[MemoryDiagnoser]
[Config(typeof(Columns))]
public class MatMulBenchmarks
{
    private readonly CpuBackend _backend = new();
    private readonly List<Tensor> _tensors = [];
    private Tensor _x = null!, _w = null!, _narrow = null!, _y = null!, _wideX = null!, _wideW = null!, _wideY = null!;
    private int _m, _n, _k;

    [Params("1024x1024x1024", "512x256x768", "1024x1536x576", "1x1536x576", "16x576x16")]
    public string Shape { get; set; } = "";

    [GlobalSetup]
    public void Setup()
    {
        (_m, _n, _k) = Sizes(Shape);
        _x = Normal(DType.F32, _m, _k);
        _w = Normal(DType.F32, _n, _k);
        _y = Normal(DType.F32, _m, _n);
        _narrow = Normal(DType.BF16, _n, _k);
        _wideX = Normal(DType.F64, _m, _k);
        _wideW = Normal(DType.F64, _n, _k);
        _wideY = Normal(DType.F64, _m, _n);
    }

    /// <summary>Apart from the others' setup, because the library's threads keep looking for work once it is loaded.</summary>
    [GlobalSetup(Targets = [nameof(OpenBlasF32), nameof(OpenBlasF64)])]
    public void SetupRival()
    {
        OpenBlas.UseThreads(_backend.Threads);
        Console.WriteLine($"// OpenBLAS kernels: {OpenBlas.CoreName}, {_backend.Threads} threads");
        Setup();
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _tensors.ForEach(tensor => tensor.Dispose());
        _backend.Dispose();
    }

    [Benchmark(Baseline = true)]
    public void OpenBlasF32() => OpenBlas.MultiplyTransposed(_m, _n, _k, _x.Address, _w.Address, _y.Address);

    [Benchmark]
    public void OpenBlasF64() => OpenBlas.MultiplyTransposedDouble(_m, _n, _k, _wideX.Address, _wideW.Address, _wideY.Address);

    [Benchmark]
    public void F32() => _backend.MatMul(_x, false, _w, true, _y);

    /// <summary>BF16 weights, float32 activations.</summary>
    [Benchmark]
    public void BF16Weights() => _backend.MatMul(_x, false, _narrow, true, _y);

    [Benchmark]
    public void F64() => _backend.MatMul(_wideX, false, _wideW, true, _wideY);

    private static (int M, int N, int K) Sizes(string shape)
    {
        int[] sizes = [.. shape.Split('x').Select(int.Parse)];
        return (sizes[0], sizes[1], sizes[2]);
    }

    private Tensor Normal(DType type, int rows, int columns)
    {
        Tensor tensor = Tensor.AllocateHost(type, rows, columns);
        using Tensor values = Tensor.AllocateHost(DType.F32, rows, columns);
        Philox.Normal(seed: 7, RandomPurpose.Test, item: (uint)_tensors.Count, values.AsSpan<float>());
        _backend.Convert(values, tensor);
        _tensors.Add(tensor);
        return tensor;
    }

    private sealed class Columns : ManualConfig
    {
        public Columns() => AddColumn(new ThroughputColumn("GFLOP/s", benchmark =>
        {
            var (m, n, k) = Sizes((string)benchmark.Parameters[nameof(Shape)]);
            return 2e-9 * m * n * k;
        }));
    }
}
