using System.Runtime.InteropServices;
using static FastKron.Native.Cuda.DriverApi;

namespace FastKron.Native.Cuda;

/// <summary>Owns a driver object; freed at most once, errors of freeing are ignored.</summary>
internal sealed class CudaHandle : SafeHandle
{
    private readonly Action<nint> _free;

    /// <summary>Takes over a handle.</summary>
    public CudaHandle(nint value, Action<nint> free) : base(0, ownsHandle: true)
    {
        _free = free;
        SetHandle(value);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>The native value.</summary>
    /// <exception cref="ObjectDisposedException">Freed already.</exception>
    public nint Value
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return handle;
        }
    }

    /// <summary>A stream.</summary>
    public static CudaHandle Stream(nint value) => new(value, static h => _ = cuStreamDestroy(h));

    /// <summary>An event.</summary>
    public static CudaHandle Event(nint value) => new(value, static h => _ = cuEventDestroy(h));

    /// <summary>A module.</summary>
    public static CudaHandle Module(nint value) => new(value, static h => _ = cuModuleUnload(h));

    /// <summary>A memory pool.</summary>
    public static CudaHandle Pool(nint value) => new(value, static h => _ = cuMemPoolDestroy(h));

    /// <summary>An executable graph.</summary>
    public static CudaHandle GraphExec(nint value) => new(value, static h => _ = cuGraphExecDestroy(h));

    /// <summary>Page-locked host memory.</summary>
    public static CudaHandle HostMemory(nint value) => new(value, static h => _ = cuMemFreeHost(h));

    /// <summary>Device memory of the context.</summary>
    public static CudaHandle DeviceMemory(nint value) => new(value, static h => _ = cuMemFree(h));

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        _free(handle);
        return true;
    }
}
