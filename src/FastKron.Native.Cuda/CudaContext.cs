using System.Text;

namespace FastKron.Native.Cuda;

/// <summary>Questions about the driver and its devices.</summary>
public static unsafe class CudaContext
{
    private const int ComputeCapabilityMajor = 75, ComputeCapabilityMinor = 76, MultiprocessorCount = 16;

    // Null once the driver is initialised, else why it is not.
    private static readonly Lazy<string?> Failure = new(Initialise);

    /// <summary>Whether a driver and at least one device are there. The first call loads the driver; no other member may come before it.</summary>
    public static bool IsAvailable => Failure.Value is null;

    /// <summary>Why <see cref="IsAvailable"/> is false: the names tried or the driver's error; null when it is true.</summary>
    public static string? UnavailableReason => Failure.Value;

    /// <summary>Number of devices.</summary>
    public static int GetDeviceCount()
    {
        DriverApi.Check(DriverApi.cuDeviceGetCount(out int count));
        return count;
    }

    /// <summary>CUDA version of the driver, for example 13.0.</summary>
    public static Version GetDriverVersion()
    {
        DriverApi.Check(DriverApi.cuDriverGetVersion(out int version));
        return new Version(version / 1000, version % 1000 / 10);
    }

    /// <summary>Name of a device.</summary>
    /// <param name="deviceId">Ordinal from 0.</param>
    public static string GetDeviceName(int deviceId)
    {
        DriverApi.Check(DriverApi.cuDeviceGet(out int device, deviceId));
        byte* name = stackalloc byte[256];
        DriverApi.Check(DriverApi.cuDeviceGetName(name, 256, device));
        return Encoding.UTF8.GetString(new ReadOnlySpan<byte>(name, 256)[..new ReadOnlySpan<byte>(name, 256).IndexOf((byte)0)]);
    }

    /// <summary>Compute capability, for example 9.0.</summary>
    /// <param name="deviceId">Ordinal from 0.</param>
    public static Version GetDeviceComputeCapability(int deviceId)
    {
        DriverApi.Check(DriverApi.cuDeviceGet(out int device, deviceId));
        return new Version(Attribute(device, ComputeCapabilityMajor), Attribute(device, ComputeCapabilityMinor));
    }

    /// <summary>Memory in bytes and number of multiprocessors of a device.</summary>
    /// <param name="deviceId">Ordinal from 0.</param>
    public static (long TotalMemory, int Multiprocessors) GetDeviceInfo(int deviceId)
    {
        DriverApi.Check(DriverApi.cuDeviceGet(out int device, deviceId));
        DriverApi.Check(DriverApi.cuDeviceTotalMem(out nuint bytes, device));
        return ((long)bytes, Attribute(device, MultiprocessorCount));
    }

    private static int Attribute(int device, int attribute)
    {
        DriverApi.Check(DriverApi.cuDeviceGetAttribute(out int value, attribute, device));
        return value;
    }

    private static string? Initialise()
    {
        CudaLibrary driver = CudaLibraries.Find(DriverApi.Library);
        if (driver.Path is null)
            return $"no driver library: tried {string.Join(", ", driver.Tried)}";
        try
        {
            DriverApi.Check(DriverApi.cuInit(0));
            return GetDeviceCount() > 0 ? null : "the driver lists no device";
        }
        catch (CudaException e)
        {
            return e.Message;
        }
    }
}
