using System.Runtime.CompilerServices;
using static FastKron.Native.Cuda.DriverApi;

namespace FastKron.Native.Cuda;

/// <summary>Page-locked host memory: copies to and from it overlap with work.</summary>
public sealed unsafe class CudaPageLockedHostMemory<T> : IDisposable where T : unmanaged
{
    private readonly CudaHandle _handle;

    /// <summary>Allocates in the current context.</summary>
    /// <param name="size">Elements.</param>
    public CudaPageLockedHostMemory(nint size)
    {
        Size = size;
        Check(cuMemHostAlloc(out nint pointer, (nuint)SizeInBytes, 0));
        _handle = CudaHandle.HostMemory(pointer);
    }

    /// <summary>Elements.</summary>
    public nint Size { get; }

    /// <summary>Bytes.</summary>
    public nint SizeInBytes => Size * Unsafe.SizeOf<T>();

    /// <summary>First element.</summary>
    public nint PinnedHostPointer => _handle.Value;

    /// <summary>The elements.</summary>
    public Span<T> AsSpan() => new((void*)PinnedHostPointer, checked((int)Size));

    /// <summary>Frees the memory.</summary>
    public void Dispose() => _handle.Dispose();
}
