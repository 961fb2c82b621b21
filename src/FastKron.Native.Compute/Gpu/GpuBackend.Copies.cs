using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

// Copies run in two streams of their own, one for each direction, so that both directions and the operations overlap.
public sealed unsafe partial class GpuBackend
{
    /// <summary>Bytes of one call to the driver.</summary>
    private const int CopyBytes = 1 << 30;

    private readonly Lock _countingHost = new();

    /// <summary>Bytes of page-locked host memory in use by tensors.</summary>
    public long UsedHostBytes { get; private set; }

    /// <summary>Most bytes of page-locked host memory in use by tensors at once.</summary>
    public long PeakHostBytes { get; private set; }

    /// <inheritdoc/>
    public Tensor AllocateHost(DType type, int rows, int columns)
    {
        Enter();
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        var memory = new PageLockedMemory(_context, Math.Max(1, (long)rows * columns * type.Size()), CountHost);
        return new Tensor(memory, memory.DangerousGetHandle(), isHost: true, type, rows, columns, columns);
    }

    /// <inheritdoc/>
    public IFence Mark()
    {
        Enter();
        return new GpuFence(_context, _stream);
    }

    /// <inheritdoc/>
    public IFence StartCopy(Tensor source, Tensor destination, params ReadOnlySpan<IFence> after)
    {
        Enter();
        TensorArguments.StartCopy(source, destination);
        if (source.IsHost == destination.IsHost)
            throw new ArgumentException($"expected one tensor in host and one in device memory, found {source} and {destination}");
        CudaStream stream = source.IsHost ? _uploads : _downloads;
        foreach (IFence fence in after)
            stream.WaitEvent(((GpuFence)fence).Event);
        (nint device, nint host) = source.IsHost ? (destination.Address, source.Address) : (source.Address, destination.Address);
        for (long done = 0; done < source.Bytes; done += CopyBytes)
        {
            int count = (int)Math.Min(CopyBytes, source.Bytes - done);
            var memory = new CudaDeviceVariable<byte>((nint)(device + done), count);
            if (source.IsHost)
                memory.AsyncCopyToDevice(new ReadOnlySpan<byte>((byte*)host + done, count), stream);
            else
                memory.AsyncCopyToHost(new Span<byte>((byte*)host + done, count), stream);
        }
        return new GpuFence(_context, stream);
    }

    /// <inheritdoc/>
    public void Await(IFence fence)
    {
        Enter();
        _stream.WaitEvent(((GpuFence)fence).Event);
    }

    private void CountHost(long bytes)
    {
        lock (_countingHost)
        {
            UsedHostBytes += bytes;
            PeakHostBytes = Math.Max(PeakHostBytes, UsedHostBytes);
        }
    }
}
