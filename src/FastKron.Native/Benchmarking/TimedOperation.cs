namespace FastKron.Native.Benchmarking;

/// <summary>One thing to time: an operation on data that lives as long as the case.</summary>
/// <param name="Name">What and which shape, such as <c>rms-norm/32768x4096</c>.</param>
/// <param name="Unit">Of the result.</param>
/// <param name="Run">Enqueues the operation once.</param>
/// <param name="Data">What to free afterwards.</param>
public sealed record TimedOperation(string Name, BenchmarkUnit Unit, Action Run, params IDisposable?[] Data) : IDisposable
{
    /// <summary>Bytes that any implementation reads and writes: each input and each output once.</summary>
    public double Bytes { get; init; }

    /// <summary>Floating-point operations that any implementation does, a multiply-add counted as two.</summary>
    public double Flops { get; init; }

    /// <summary>Weights handled, for rates of weights.</summary>
    public double Weights { get; init; }

    /// <summary>Name of another way to do the same, timed beside it; null if there is none here.</summary>
    public string? Rival { get; init; }

    /// <summary>Enqueues the rival once.</summary>
    public Action? RunRival { get; init; }

    /// <summary>The rival's time where it is known from another session on such a machine; null if not.</summary>
    public double? RivalSeconds { get; init; }

    /// <summary>The unit's name in records.</summary>
    public string UnitName => Unit switch
    {
        BenchmarkUnit.GigabytesPerSecond => "GB/s",
        BenchmarkUnit.TeraflopsPerSecond => "TFLOP/s",
        BenchmarkUnit.MegaweightsPerSecond => "Mweights/s",
        BenchmarkUnit.Microseconds => "µs",
        _ => "ms",
    };

    /// <summary>The value that a time means.</summary>
    public double Value(double seconds) => Unit switch
    {
        BenchmarkUnit.GigabytesPerSecond => Bytes / seconds * 1e-9,
        BenchmarkUnit.TeraflopsPerSecond => Flops / seconds * 1e-12,
        BenchmarkUnit.MegaweightsPerSecond => Weights / seconds * 1e-6,
        BenchmarkUnit.Microseconds => seconds * 1e6,
        _ => seconds * 1e3,
    };

    /// <summary>Frees the data.</summary>
    public void Dispose()
    {
        foreach (IDisposable? item in Data)
            item?.Dispose();
    }
}
