using System.Runtime.InteropServices;

namespace FastKron.Native.Compute.Gpu;

/// <summary>A block of device memory; disposal frees it behind the work enqueued so far.</summary>
internal sealed class DeviceMemory : SafeHandle
{
    private readonly DeviceHeap _heap;

    /// <summary>Takes over a block of a heap.</summary>
    public DeviceMemory(DeviceHeap heap, nint address, long bytes) : base(0, ownsHandle: true)
    {
        (_heap, Bytes) = (heap, bytes);
        SetHandle(address);
    }

    /// <summary>Device address, aligned to at least 256 bytes.</summary>
    public nint Address => handle;

    /// <summary>Size in bytes.</summary>
    public long Bytes { get; }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => _heap.Free(handle, Bytes);
}
