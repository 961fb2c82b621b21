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
                string? reason = CudaContext.UnavailableReason ?? (KernelImages.AreBuilt ? null : "this build has no GPU kernels (./build.sh kernels)");
                IBackend backend = reason is null ? new GpuBackend(0) : new CpuBackend();
                Console.Error.WriteLine($"device: {backend.Name}{(reason is null || !CudaContext.IsAvailable ? "" : $" ({reason})")}");
                return backend;
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
}
