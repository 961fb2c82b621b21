using static FastKron.Native.Cuda.DriverApi;

namespace FastKron.Native.Cuda;

/// <summary>A stream-ordered pool of device memory: allocating and freeing are entries of a stream and cost microseconds.</summary>
public sealed class CudaMemoryPool : IDisposable
{
    private const int PinnedAllocation = 1, DeviceLocation = 1;

    private readonly CudaHandle _handle;

    /// <summary>Creates a pool on a device that keeps what is freed until <see cref="TrimTo"/>.</summary>
    public CudaMemoryPool(CudaContext context)
    {
        context.SetCurrent();
        var properties = new CUmemPoolProps { AllocationType = PinnedAllocation, LocationType = DeviceLocation, LocationId = context.Device };
        Check(cuMemPoolCreate(out nint pool, in properties));
        _handle = CudaHandle.Pool(pool);
        ulong keep = ulong.MaxValue;
        Check(cuMemPoolSetAttribute(pool, CUmemPoolAttribute.ReleaseThreshold, ref keep));
    }

    /// <summary>Bytes in use now.</summary>
    public long Used => Get(CUmemPoolAttribute.UsedMemCurrent);

    /// <summary>Most bytes in use at once.</summary>
    public long UsedHigh => Get(CUmemPoolAttribute.UsedMemHigh);

    /// <summary>Bytes held from the device.</summary>
    public long Reserved => Get(CUmemPoolAttribute.ReservedMemCurrent);

    /// <summary>Allocates; the memory is usable by later work of the stream.</summary>
    /// <param name="bytes">At least 1.</param>
    /// <param name="stream">The stream.</param>
    /// <param name="pointer">Device address.</param>
    /// <returns>Success, or <see cref="CUResult.ErrorOutOfMemory"/>; every other failure throws.</returns>
    public CUResult Allocate(long bytes, CudaStream stream, out nint pointer)
    {
        CUResult result = cuMemAllocFromPoolAsync(out pointer, (nuint)bytes, _handle.Value, stream.Stream);
        if (result is not (CUResult.Success or CUResult.ErrorOutOfMemory))
            throw new CudaException(result, $"cuMemAllocFromPoolAsync({bytes})");
        return result;
    }

    /// <summary>Frees after all work given to the stream so far.</summary>
    public static void Free(nint pointer, CudaStream stream) => Check(cuMemFreeAsync(pointer, stream.Stream));

    /// <summary>Gives memory that is not in use back to the device.</summary>
    /// <param name="minimumBytes">Bytes to keep at least.</param>
    public void TrimTo(long minimumBytes) => Check(cuMemPoolTrimTo(_handle.Value, (nuint)minimumBytes));

    /// <summary>Destroys the pool.</summary>
    public void Dispose() => _handle.Dispose();

    private long Get(CUmemPoolAttribute attribute)
    {
        Check(cuMemPoolGetAttribute(_handle.Value, attribute, out ulong value));
        return (long)value;
    }
}
