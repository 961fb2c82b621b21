using static FastKron.Native.Cuda.DriverApi;

namespace FastKron.Native.Cuda;

/// <summary>Recorded work that can be launched as a whole; made by <see cref="CudaStream.BeginCapture"/> and <see cref="CudaStream.EndCapture"/>.</summary>
public sealed class CudaGraphExec : IDisposable
{
    private readonly CudaHandle _handle;

    internal CudaGraphExec(nint exec) => _handle = CudaHandle.GraphExec(exec);

    /// <summary>Runs the recorded work on a stream.</summary>
    public void Launch(CudaStream stream) => Check(cuGraphLaunch(_handle.Value, stream.Stream));

    /// <summary>Prepares the next launch.</summary>
    public void Upload(CudaStream stream) => Check(cuGraphUpload(_handle.Value, stream.Stream));

    /// <summary>Destroys the graph.</summary>
    public void Dispose() => _handle.Dispose();
}
