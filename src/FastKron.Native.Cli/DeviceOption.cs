using System.CommandLine;
using System.Globalization;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Cuda;

namespace FastKron.Native.Cli;

/// <summary>The <c>--device</c> option.</summary>
internal static class DeviceOption
{
    private const string Auto = "auto", Cpu = "cpu", CudaPrefix = "cuda:";

    public static Option<string> Create() => new("--device") { Description = "where to compute: auto (a GPU when one works), cpu or cuda:0", DefaultValueFactory = _ => Auto };

    /// <summary>Opens the device; says on standard error what <c>auto</c> picked and why not a GPU.</summary>
    /// <exception cref="NotSupportedException">No such device, or a build without kernels.</exception>
    public static IBackend Open(string? device)
    {
        switch (device)
        {
            case Cpu:
                return new CpuBackend();
            case Auto:
                return OpenBest();
            default:
                if (device?.StartsWith(CudaPrefix, StringComparison.Ordinal) != true || !int.TryParse(device.AsSpan(CudaPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int ordinal))
                    throw new ArgumentException($"--device {device}: expected auto, cpu or cuda:N");
                if (CudaContext.UnavailableReason is { } missing)
                    throw new NotSupportedException($"--device {device}: {missing}; give cpu");
                if (ordinal >= CudaContext.GetDeviceCount())
                    throw new NotSupportedException($"--device {device}: this machine has {CudaContext.GetDeviceCount()} devices; give cuda:0 to cuda:{CudaContext.GetDeviceCount() - 1}, or cpu");
                return new GpuBackend(ordinal);
        }
    }

    // A machine without a driver is an ordinary CPU machine; a GPU that cannot be used is worth a reason.
    private static IBackend OpenBest()
    {
        IBackend backend;
        string reason = "";
        try
        {
            backend = CudaContext.IsAvailable ? new GpuBackend(0) : new CpuBackend();
        }
        catch (Exception e) when (e is CudaException or CudaBlasException or CudaSolveException or DllNotFoundException or NotSupportedException)
        {
            (backend, reason) = (new CpuBackend(), $" (the GPU cannot be used: {e.Message})");
        }
        Console.Error.WriteLine($"device: {backend.Name}{reason}");
        return backend;
    }
}
