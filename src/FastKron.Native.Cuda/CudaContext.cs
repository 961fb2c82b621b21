using System.Text;
using static FastKron.Native.Cuda.DriverApi;

namespace FastKron.Native.Cuda;

/// <summary>The primary context of a device, the one that cuBLAS and cuSOLVER expect; static members ask the driver about its devices.</summary>
public sealed unsafe class CudaContext : IDisposable
{
    // Null once the driver is initialised, else why it is not.
    private static readonly Lazy<string?> Failure = new(Initialise);

    private readonly nint _context;
    private int _released;

    /// <summary>Retains the device's primary context and makes it current on this thread.</summary>
    /// <param name="deviceId">Ordinal from 0.</param>
    /// <exception cref="CudaException">No driver, no such device.</exception>
    public CudaContext(int deviceId = 0)
    {
        if (!IsAvailable)
            throw new CudaException(CUResult.ErrorNoDevice, "cuInit", UnavailableReason);
        Check(cuDeviceGet(out int device, deviceId));
        (DeviceId, Device) = (deviceId, device);
        Check(cuDevicePrimaryCtxRetain(out _context, device));
        SetCurrent();
    }

    /// <summary>Whether a driver and at least one device are there. The first call loads the driver; no other member may come before it.</summary>
    public static bool IsAvailable => Failure.Value is null;

    /// <summary>Why <see cref="IsAvailable"/> is false: the names tried or the driver's error; null when it is true.</summary>
    public static string? UnavailableReason => Failure.Value;

    /// <summary>Ordinal of the device.</summary>
    public int DeviceId { get; }

    /// <summary>The driver's handle of the device.</summary>
    public int Device { get; }

    /// <summary>Number of devices.</summary>
    public static int GetDeviceCount()
    {
        Check(cuDeviceGetCount(out int count));
        return count;
    }

    /// <summary>CUDA version of the driver, for example 13.0.</summary>
    public static Version GetDriverVersion()
    {
        Check(cuDriverGetVersion(out int version));
        return new Version(version / 1000, version % 1000 / 10);
    }

    /// <summary>Name of a device.</summary>
    /// <param name="deviceId">Ordinal from 0.</param>
    public static string GetDeviceName(int deviceId)
    {
        const int Length = 256;
        Check(cuDeviceGet(out int device, deviceId));
        byte* name = stackalloc byte[Length];
        Check(cuDeviceGetName(name, Length, device));
        var bytes = new ReadOnlySpan<byte>(name, Length);
        return Encoding.UTF8.GetString(bytes[..bytes.IndexOf((byte)0)]);
    }

    /// <summary>Compute capability, for example 9.0.</summary>
    /// <param name="deviceId">Ordinal from 0.</param>
    public static Version GetDeviceComputeCapability(int deviceId)
    {
        Check(cuDeviceGet(out int device, deviceId));
        return new Version(Attribute(device, CUDeviceAttribute.ComputeCapabilityMajor), Attribute(device, CUDeviceAttribute.ComputeCapabilityMinor));
    }

    /// <summary>Sizes and rates of a device.</summary>
    /// <param name="deviceId">Ordinal from 0.</param>
    public static CudaDeviceProperties GetDeviceInfo(int deviceId)
    {
        Check(cuDeviceGet(out int device, deviceId));
        Check(cuDeviceTotalMem(out nuint bytes, device));
        return new CudaDeviceProperties
        {
            DeviceName = GetDeviceName(deviceId),
            ComputeCapability = GetDeviceComputeCapability(deviceId),
            TotalGlobalMemory = (long)bytes,
            MultiProcessorCount = Attribute(device, CUDeviceAttribute.MultiprocessorCount),
            L2CacheSize = Attribute(device, CUDeviceAttribute.L2CacheSize),
            SharedMemoryPerBlockOptin = Attribute(device, CUDeviceAttribute.MaxSharedMemoryPerBlockOptin),
        };
    }

    /// <summary>Makes this the current context of the calling thread.</summary>
    public void SetCurrent() => Check(cuCtxSetCurrent(_context));

    /// <summary>Makes this current until <see cref="PopContext"/>.</summary>
    public void PushContext() => Check(cuCtxPushCurrent(_context));

    /// <summary>Goes back to the context before <see cref="PushContext"/>.</summary>
    public static void PopContext() => Check(cuCtxPopCurrent(out _));

    /// <summary>Waits for all work of the context.</summary>
    public void Synchronize()
    {
        SetCurrent();
        Check(cuCtxSynchronize());
    }

    /// <summary>Bytes free on the device.</summary>
    public long GetFreeDeviceMemorySize()
    {
        SetCurrent();
        Check(cuMemGetInfo(out nuint free, out _));
        return (long)free;
    }

    /// <summary>Bytes of the device.</summary>
    public long GetTotalDeviceMemorySize()
    {
        SetCurrent();
        Check(cuMemGetInfo(out _, out nuint total));
        return (long)total;
    }

    /// <summary>Releases the primary context.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _released, 1) == 0)
            _ = cuDevicePrimaryCtxRelease(Device);
    }

    private static int Attribute(int device, CUDeviceAttribute attribute)
    {
        Check(cuDeviceGetAttribute(out int value, attribute, device));
        return value;
    }

    private static string? Initialise()
    {
        CudaLibrary driver = CudaLibraries.Find(Library);
        if (driver.Path is null)
            return $"no driver library: tried {string.Join(", ", driver.Tried)}";
        try
        {
            Check(cuInit(0));
            return GetDeviceCount() > 0 ? null : "the driver lists no device";
        }
        catch (CudaException e)
        {
            return e.Message;
        }
    }
}
