using static FastKron.Native.Cuda.DriverApi;

namespace FastKron.Native.Cuda;

/// <summary>A mark in a stream.</summary>
public sealed class CudaEvent : IDisposable
{
    private const uint DisableTiming = 2;

    private readonly CudaHandle _handle;

    /// <summary>Creates an event in the current context.</summary>
    /// <param name="timing">Whether it can be used with <see cref="ElapsedTime"/>.</param>
    public CudaEvent(bool timing = true)
    {
        Check(cuEventCreate(out nint value, timing ? 0 : DisableTiming));
        _handle = CudaHandle.Event(value);
    }

    /// <summary>The driver's handle.</summary>
    public nint Event => _handle.Value;

    /// <summary>Puts the mark behind the work given to a stream so far.</summary>
    public void Record(CudaStream stream) => Check(cuEventRecord(Event, stream.Stream));

    /// <summary>Waits for the mark.</summary>
    public void Synchronize() => Check(cuEventSynchronize(Event));

    /// <summary>Whether the mark was passed.</summary>
    public bool Query()
    {
        CUResult result = cuEventQuery(Event);
        if (result == CUResult.ErrorNotReady)
            return false;
        Check(result, "cuEventQuery");
        return true;
    }

    /// <summary>Milliseconds between two marks that were passed.</summary>
    public static float ElapsedTime(CudaEvent start, CudaEvent end)
    {
        Check(cuEventElapsedTime(out float milliseconds, start.Event, end.Event));
        return milliseconds;
    }

    /// <summary>Destroys the event.</summary>
    public void Dispose() => _handle.Dispose();
}
