using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarking;

/// <summary>Times enqueued operations on the backend's own clock, each run with cold caches.</summary>
/// <param name="backend">Where the operations run.</param>
public sealed class OperationTimer(IBackend backend) : IDisposable
{
    private const int CopyBytes = 256 << 20, FlushRows = 1024;   // beyond any cache of a processor or GPU
    private const int WarmUps = 2, FewestRuns = 5, MostRuns = 50;
    private const double EnoughSeconds = 0.3;

    private readonly Tensor _flush = BenchmarkData.Normal(backend, DType.F32, FlushRows, CopyBytes / sizeof(float) / FlushRows);
    private readonly Tensor _flushLabels = BenchmarkData.Indices(backend, FlushRows, limit: 1), _flushLosses = backend.Allocate(DType.F32, 1, FlushRows);
    private double? _bytesPerSecond, _flopsPerSecond;

    /// <summary>Bytes read and written each second by a copy of 256 MB: the ceiling of memory-bound work.</summary>
    public double BytesPerSecond => _bytesPerSecond ??= MeasureCopy();

    /// <summary>Operations each second of a product of 8192 × 8192 matrices (1024 on a CPU) of the backend's activation type: the ceiling of matrix work.</summary>
    public double FlopsPerSecond => _flopsPerSecond ??= MeasureMatMul();

    /// <summary>Median seconds of one run.</summary>
    public double Seconds(Action run)
    {
        for (int i = 0; i < WarmUps; i++)
            run();
        var seconds = new List<double>();
        for (double total = 0; seconds.Count < FewestRuns || (total < EnoughSeconds && seconds.Count < MostRuns); total += seconds[^1])
        {
            // Reading 256 MB leaves nothing of the operation in a cache, and no written lines that would go to memory on its time.
            // It also keeps the device busy while the host enqueues, so that launches are not timed.
            backend.CrossEntropy(_flush, _flushLabels, _flushLosses);
            using IFence start = backend.Mark();
            run();
            using IFence end = backend.Mark();
            seconds.Add(end.SecondsSince(start));
        }
        seconds.Sort();
        return seconds[seconds.Count / 2];
    }

    /// <summary>Least seconds that bytes and operations take at the measured ceilings.</summary>
    public double FloorSeconds(double bytes, double flops) =>
        Math.Max(bytes > 0 ? bytes / BytesPerSecond : 0, flops > 0 ? flops / FlopsPerSecond : 0);

    /// <summary>Frees the buffers that empty the caches.</summary>
    public void Dispose()
    {
        _flush.Dispose();
        _flushLabels.Dispose();
        _flushLosses.Dispose();
    }

    private double MeasureCopy()
    {
        using Tensor source = BenchmarkData.Normal(backend, DType.F32, 1, CopyBytes / sizeof(float)), destination = backend.Allocate(source.Type, source.Rows, source.Columns);
        return 2 * source.Bytes / Seconds(() => backend.Convert(source, destination));
    }

    private double MeasureMatMul()
    {
        int size = backend.ActivationType == DType.BF16 ? 8192 : 1024;
        using Tensor a = BenchmarkData.Normal(backend, backend.ActivationType, size, size), b = BenchmarkData.Normal(backend, backend.ActivationType, size, size);
        using Tensor c = backend.Allocate(backend.ActivationType, size, size);
        return 2.0 * size * size * size / Seconds(() => backend.MatMul(a, transposeA: false, b, transposeB: true, c));
    }
}
