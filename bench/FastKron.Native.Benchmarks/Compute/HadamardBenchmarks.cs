using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Incoherence;

namespace FastKron.Native.Benchmarks.Compute;

/// <summary>In-place rotation of one weight matrix; orthonormal, so repeated calls stay bounded. Bytes moved: read and written once.</summary>
[MemoryDiagnoser]
[Config(typeof(Columns))]
public class HadamardBenchmarks : IDisposable
{
    private readonly CpuBackend _backend = new();
    private Tensor? _matrix;
    private HadamardFactor? _factor;

    [Params("576x1536", "4096x4096", "4096x14336")] public string Shape { get; set; } = "";

    [Params(DType.F32, DType.F64)] public DType Type { get; set; }

    [Params(HadamardAxis.Rows, HadamardAxis.Columns)] public HadamardAxis Axis { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        int[] sizes = [.. Shape.Split('x').Select(int.Parse)];
        _matrix = _backend.Allocate(Type, sizes[0], sizes[1]);
        _backend.Fill(_matrix, 1);
        _factor = HadamardFactors.For(Axis == HadamardAxis.Rows ? sizes[1] : sizes[0]);
    }

    [Benchmark]
    public void Rotate() => _backend.Hadamard(_matrix!, _factor!, scale: null, Axis, inverse: false);

    [GlobalCleanup]
    public void Dispose()
    {
        _matrix?.Dispose();
        _backend.Dispose();
        GC.SuppressFinalize(this);
    }

    private sealed class Columns : ManualConfig
    {
        public Columns() => AddColumn(new ThroughputColumn("GB/s", benchmark =>
        {
            int[] sizes = [.. ((string)benchmark.Parameters[nameof(Shape)]).Split('x').Select(int.Parse)];
            return 2e-9 * sizes[0] * sizes[1] * ((DType)benchmark.Parameters[nameof(Type)]).Size();
        }));
    }
}
