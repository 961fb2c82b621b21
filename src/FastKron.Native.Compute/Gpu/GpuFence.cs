using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

/// <summary>An event recorded in one of the backend's streams.</summary>
internal sealed class GpuFence : IFence
{
    private readonly CudaContext _context;

    /// <summary>Puts a fence behind the work given to a stream so far; the context is current.</summary>
    public GpuFence(CudaContext context, CudaStream stream)
    {
        (_context, Event) = (context, new CudaEvent());
        Event.Record(stream);
    }

    /// <summary>The event, for other streams to wait for.</summary>
    public CudaEvent Event { get; }

    /// <inheritdoc/>
    public bool IsPassed
    {
        get
        {
            _context.SetCurrent();
            return Event.Query();
        }
    }

    /// <inheritdoc/>
    public void Wait()
    {
        _context.SetCurrent();
        Event.Synchronize();
    }

    /// <inheritdoc/>
    public double SecondsSince(IFence earlier)
    {
        earlier.Wait();
        Wait();
        return CudaEvent.ElapsedTime(((GpuFence)earlier).Event, Event) / 1000;
    }

    /// <inheritdoc/>
    public void Dispose() => Event.Dispose();
}
