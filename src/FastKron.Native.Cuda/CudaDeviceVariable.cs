using System.Runtime.CompilerServices;
using static FastKron.Native.Cuda.DriverApi;

namespace FastKron.Native.Cuda;

/// <summary>Elements in device memory. Every size is in elements but <see cref="SizeInBytes"/>.</summary>
public sealed unsafe class CudaDeviceVariable<T> : IDisposable where T : unmanaged
{
    private readonly CudaHandle? _owned;

    /// <summary>Allocates in the current context, uninitialised.</summary>
    /// <param name="size">Elements.</param>
    public CudaDeviceVariable(nint size)
    {
        Size = size;
        Check(cuMemAlloc(out nint pointer, (nuint)SizeInBytes));
        (DevicePointer, _owned) = (pointer, CudaHandle.DeviceMemory(pointer));
    }

    /// <summary>A view of memory that someone else owns.</summary>
    public CudaDeviceVariable(nint devicePointer, nint size) => (DevicePointer, Size) = (devicePointer, size);

    /// <summary>Elements.</summary>
    public nint Size { get; }

    /// <summary>Bytes.</summary>
    public nint SizeInBytes => Size * Unsafe.SizeOf<T>();

    /// <summary>Device address.</summary>
    public nint DevicePointer { get; }

    /// <summary>Whether disposal frees the memory.</summary>
    public bool IsOwner => _owned is not null;

    /// <summary>A view of <paramref name="size"/> elements from <paramref name="offset"/> on.</summary>
    public CudaDeviceVariable<T> Slice(nint offset, nint size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + size, Size);
        return new CudaDeviceVariable<T>(DevicePointer + offset * Unsafe.SizeOf<T>(), size);
    }

    /// <summary>Copies host elements here and waits.</summary>
    public void CopyToDevice(ReadOnlySpan<T> source, CudaStream stream)
    {
        AsyncCopyToDevice(source, stream);
        stream.Synchronize();
    }

    /// <summary>Copies these elements to the host and waits.</summary>
    public void CopyToHost(Span<T> destination, CudaStream stream)
    {
        AsyncCopyToHost(destination, stream);
        stream.Synchronize();
    }

    /// <summary>Enqueues a copy of host elements; pageable memory is staged by the driver before the call returns.</summary>
    public void AsyncCopyToDevice(ReadOnlySpan<T> source, CudaStream stream)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(source.Length, Size);
        fixed (T* pointer = source)
            Check(cuMemcpyHtoDAsync(DevicePointer, pointer, (nuint)source.Length * (nuint)Unsafe.SizeOf<T>(), stream.Stream));
    }

    /// <summary>Enqueues a copy to the host; <paramref name="destination"/> must be page-locked and live until the stream passed it.</summary>
    public void AsyncCopyToHost(Span<T> destination, CudaStream stream)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(destination.Length, Size);
        fixed (T* pointer = destination)
            Check(cuMemcpyDtoHAsync(pointer, DevicePointer, (nuint)destination.Length * (nuint)Unsafe.SizeOf<T>(), stream.Stream));
    }

    /// <summary>Enqueues a copy from other device memory of the same size.</summary>
    public void AsyncCopyToDevice(CudaDeviceVariable<T> source, CudaStream stream)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(source.Size, Size);
        Check(cuMemcpyDtoDAsync(DevicePointer, source.DevicePointer, (nuint)SizeInBytes, stream.Stream));
    }

    /// <summary>Sets every byte and waits.</summary>
    public void Memset(byte value, CudaStream stream)
    {
        MemsetAsync(value, stream);
        stream.Synchronize();
    }

    /// <summary>Enqueues setting every byte.</summary>
    public void MemsetAsync(byte value, CudaStream stream) => Check(cuMemsetD8Async(DevicePointer, value, (nuint)SizeInBytes, stream.Stream));

    /// <summary>Frees the memory if this owns it.</summary>
    public void Dispose() => _owned?.Dispose();
}
