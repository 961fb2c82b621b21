namespace FastKron.Native.Cuda;

/// <summary>Time of work in a stream, from two events.</summary>
/// <param name="stream">The stream.</param>
public sealed class CudaStopWatch(CudaStream stream) : IDisposable
{
    private readonly CudaEvent _start = new(), _end = new();

    /// <summary>Marks the beginning.</summary>
    public void Start() => _start.Record(stream);

    /// <summary>Marks the end and waits for it.</summary>
    public void Stop()
    {
        _end.Record(stream);
        _end.Synchronize();
    }

    /// <summary>Milliseconds from <see cref="Start"/> to <see cref="Stop"/>.</summary>
    public float GetElapsedTime() => CudaEvent.ElapsedTime(_start, _end);

    /// <summary>Destroys the events.</summary>
    public void Dispose()
    {
        _start.Dispose();
        _end.Dispose();
    }
}
