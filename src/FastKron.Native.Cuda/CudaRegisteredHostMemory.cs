using System.Runtime.CompilerServices;
using static FastKron.Native.Cuda.DriverApi;

namespace FastKron.Native.Cuda;

/// <summary>Host memory of the caller, page-locked while this lives: copies to and from it overlap with work.</summary>
public sealed unsafe class CudaRegisteredHostMemory<T> : IDisposable where T : unmanaged
{
    private nint _registered;

    /// <summary>Page-locks memory in the current context.</summary>
    /// <param name="hostPointer">First element.</param>
    /// <param name="size">Elements.</param>
    public CudaRegisteredHostMemory(nint hostPointer, nint size)
    {
        (PinnedHostPointer, Size) = (hostPointer, size);
        Check(cuMemHostRegister((void*)hostPointer, (nuint)SizeInBytes, 0));
        _registered = hostPointer;
    }

    /// <summary>Elements.</summary>
    public nint Size { get; }

    /// <summary>Bytes.</summary>
    public nint SizeInBytes => Size * Unsafe.SizeOf<T>();

    /// <summary>First element.</summary>
    public nint PinnedHostPointer { get; }

    /// <summary>Lets the pages go; waits for the work of the context. The memory stays the caller's.</summary>
    public void Dispose()
    {
        nint pointer = Interlocked.Exchange(ref _registered, 0);
        if (pointer != 0)
            _ = cuMemHostUnregister((void*)pointer);
    }
}
