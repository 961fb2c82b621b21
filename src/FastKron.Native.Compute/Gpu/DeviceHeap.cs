using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

/// <summary>The memory of one device: blocks come and go in the order of one stream, and bytes in use are counted.</summary>
internal sealed class DeviceHeap : IDisposable
{
    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly CudaMemoryPool _pool;
    private readonly long _limit;
    private readonly Lock _counting = new();
    private bool _closed;

    /// <summary>Creates a heap whose context is current.</summary>
    /// <param name="context">The device.</param>
    /// <param name="stream">In whose order blocks come and go.</param>
    /// <param name="limit">Most bytes in use at once.</param>
    public DeviceHeap(CudaContext context, CudaStream stream, long limit)
    {
        (_context, _stream, _limit) = (context, stream, limit);
        _pool = new CudaMemoryPool(context);
    }

    /// <summary>Bytes in use.</summary>
    public long UsedBytes { get; private set; }

    /// <summary>Most bytes in use at once.</summary>
    public long PeakBytes { get; private set; }

    /// <summary>Bytes that could still be allocated, as far as they lie together: free on the device, or held here and not in use, and within the limit.</summary>
    public long AvailableBytes => Math.Min(_limit - UsedBytes, _context.GetFreeDeviceMemorySize() + _pool.Reserved - _pool.Used);

    /// <summary>A block of at least <paramref name="bytes"/>, uninitialised.</summary>
    /// <exception cref="InsufficientMemoryException">The device has not that much, or the limit is below it; the message says what there is and what lowers use.</exception>
    public DeviceMemory Allocate(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        long size = Math.Max(bytes, 1);
        if (size > _limit - UsedBytes)
            throw new InsufficientMemoryException(Refusal(size));
        if (_pool.Allocate(size, _stream, out nint address) != CUResult.Success)
        {
            // What was freed may still be held for the stream's pending work, or lie in pieces.
            _stream.Synchronize();
            _pool.TrimTo(0);
            if (_pool.Allocate(size, _stream, out address) != CUResult.Success)
                throw new InsufficientMemoryException(Refusal(size));
        }
        lock (_counting)
        {
            UsedBytes += size;
            PeakBytes = Math.Max(PeakBytes, UsedBytes);
        }
        return new DeviceMemory(this, address, size);
    }

    /// <summary>Frees a block behind the stream's work; from any thread, the finaliser's too.</summary>
    /// <returns>Whether the driver took it back.</returns>
    public bool Free(nint address, long bytes)
    {
        lock (_counting)
        {
            if (_closed)
                return false;
            UsedBytes -= bytes;
            try
            {
                _context.PushContext();
                try
                {
                    CudaMemoryPool.Free(address, _stream);
                }
                finally
                {
                    CudaContext.PopContext();
                }
                return true;
            }
            catch (CudaException)
            {
                // After a failed kernel every call fails; the failure was reported where it happened.
                return false;
            }
        }
    }

    /// <summary>Closes the heap; blocks that are still in use go with the context.</summary>
    public void Dispose()
    {
        lock (_counting)
            _closed = true;
        _pool.Dispose();
    }

    private string Refusal(long bytes) =>
        $"device memory: asked for {bytes:N0} bytes, {_context.GetFreeDeviceMemorySize():N0} free of {_context.GetTotalDeviceMemorySize():N0}, {UsedBytes:N0} in use here"
        + (_limit == long.MaxValue ? "" : $" of {_limit:N0} that --device allows")
        + "; lower --gradients or --context, stop other programs on this device, or use --device cpu";
}
