using System.Collections.Concurrent;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

/// <summary>Every operation on one NVIDIA GPU: own kernels, cuBLAS, cuSOLVER. One file per operation family.</summary>
/// <remarks>Operations enqueue on one stream and return. Nothing uses atomics on floating-point numbers, so equal calls give equal bytes.</remarks>
public sealed partial class GpuBackend : IBackend
{
    /// <summary>Workspace of cuBLAS, as much as it recommends for compute capability 9.0: with its own, results are reproducible.</summary>
    private const long WorkspaceBytes = 32 << 20;

    private readonly CudaContext _context;
    private readonly CudaStream _stream, _uploads, _downloads;
    private readonly DeviceHeap _heap;
    private readonly HostStaging _staging;
    private readonly CudaBlas _blas;
    private readonly DeviceMemory _workspace;
    private readonly CudaSolveDense _solver;
    private readonly KernelImages _images;
    private readonly ConcurrentDictionary<string, CudaKernel> _kernels = new(StringComparer.Ordinal);
    private readonly int _multiprocessors, _sharedBytes;
    private bool _disposed;

    /// <summary>Opens a device.</summary>
    /// <param name="deviceId">Ordinal from 0.</param>
    /// <param name="memoryLimit">Most bytes of tensors on the device at once, for programs that share it; what the driver and its libraries take is beside that.</param>
    /// <exception cref="CudaException">No driver or no such device.</exception>
    /// <exception cref="NotSupportedException">The device is older than compute capability 8.0, or this build has no kernels.</exception>
    public GpuBackend(int deviceId = 0, long memoryLimit = long.MaxValue)
    {
        _context = new CudaContext(deviceId);
        CudaDeviceProperties device = CudaContext.GetDeviceInfo(deviceId);
        (_multiprocessors, _sharedBytes) = (device.MultiProcessorCount, device.SharedMemoryPerBlockOptin);
        (Name, Kind) = ($"cuda:{deviceId}, {device.DeviceName}", $"cuda {device.DeviceName} sm_{device.ComputeCapability.Major}{device.ComputeCapability.Minor}");
        try
        {
            _images = new KernelImages(device.ComputeCapability);
            (_stream, _uploads, _downloads) = (new CudaStream(), new CudaStream(), new CudaStream());
            _heap = new DeviceHeap(_context, _stream, memoryLimit);
            _staging = new HostStaging(_stream);
            _blas = new CudaBlas(_stream) { MathMode = MathMode.DisallowReducedPrecisionReduction };
            _workspace = _heap.Allocate(WorkspaceBytes);
            _blas.SetWorkspace(_workspace.Address, _workspace.Bytes);
            _solver = new CudaSolveDense(_stream);
        }
        catch
        {
            Release();
            throw;
        }
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public string Kind { get; }

    /// <inheritdoc/>
    public DType ActivationType => DType.BF16;

    /// <inheritdoc/>
    public bool IsHost => false;

    /// <inheritdoc/>
    public long AvailableBytes
    {
        get
        {
            Enter();
            return _heap.AvailableBytes;
        }
    }

    /// <inheritdoc/>
    public int BatchTokens => 16384;

    /// <summary>Bytes of device memory in use.</summary>
    public long UsedBytes => _heap.UsedBytes;

    /// <summary>Most bytes of device memory in use at once.</summary>
    public long PeakBytes => _heap.PeakBytes;

    /// <inheritdoc/>
    public void Synchronize()
    {
        Enter();
        WaitForStreams();
        CheckEncodedTargets();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, true))
            return;
        Enter();
        try
        {
            WaitForStreams();
        }
        finally
        {
            Release();
        }
    }

    // Also of a backend of which only a part came to be.
    private void Release()
    {
        _images?.Dispose();
        _solver?.Dispose();
        _blas?.Dispose();
        DisposeEncoder();
        DisposeTables();
        _forwardWorks?.Memory.Dispose();
        _workspace?.Dispose();
        _staging?.Dispose();
        _heap?.Dispose();
        _stream?.Dispose();
        _uploads?.Dispose();
        _downloads?.Dispose();
        _context.Dispose();
    }

    private void WaitForStreams()
    {
        _stream.Synchronize();
        _uploads.Synchronize();
        _downloads.Synchronize();
    }

    // The current context is a property of the thread: every public method calls this first.
    private void Enter() => _context.SetCurrent();

    /// <summary>A kernel by its entry name, from the image of its family.</summary>
    /// <param name="family">Name of the .cu file without extension.</param>
    /// <param name="name">extern "C" name.</param>
    private CudaKernel Kernel(string family, string name) => _kernels.GetOrAdd(name, static (entry, state) => state._images.Module(state.family).GetKernel(entry), (_images, family));
}
