using static FastKron.Native.Cuda.DriverApi;

namespace FastKron.Native.Cuda;

/// <summary>A queue of work on a device; does not synchronise with the default stream.</summary>
public sealed class CudaStream : IDisposable
{
    private const uint NonBlocking = 1;
    private const int ThreadLocalCapture = 1;

    private readonly CudaHandle _handle;

    /// <summary>Creates a stream in the current context.</summary>
    /// <param name="priority">Lower numbers come first; 0 is the default.</param>
    public CudaStream(int priority = 0)
    {
        Check(cuStreamCreateWithPriority(out nint stream, NonBlocking, priority));
        _handle = CudaHandle.Stream(stream);
    }

    /// <summary>The driver's handle.</summary>
    public nint Stream => _handle.Value;

    /// <summary>Waits until all work given so far is done.</summary>
    public void Synchronize() => Check(cuStreamSynchronize(Stream));

    /// <summary>Whether all work given so far is done.</summary>
    public bool Query()
    {
        CUResult result = cuStreamQuery(Stream);
        if (result == CUResult.ErrorNotReady)
            return false;
        Check(result, "cuStreamQuery");
        return true;
    }

    /// <summary>Later work of this stream starts only after the event.</summary>
    public void WaitEvent(CudaEvent cudaEvent) => Check(cuStreamWaitEvent(Stream, cudaEvent.Event, 0));

    /// <summary>Priority given at creation.</summary>
    public int GetPriority()
    {
        Check(cuStreamGetPriority(Stream, out int priority));
        return priority;
    }

    /// <summary>Starts recording: work given to this stream is not run but becomes a graph.</summary>
    public void BeginCapture() => Check(cuStreamBeginCapture(Stream, ThreadLocalCapture));

    /// <summary>Ends recording.</summary>
    public CudaGraphExec EndCapture()
    {
        Check(cuStreamEndCapture(Stream, out nint graph));
        try
        {
            Check(cuGraphInstantiateWithFlags(out nint exec, graph, 0));
            return new CudaGraphExec(exec);
        }
        finally
        {
            _ = cuGraphDestroy(graph);
        }
    }

    /// <summary>Destroys the stream once its work is done.</summary>
    public void Dispose() => _handle.Dispose();
}
