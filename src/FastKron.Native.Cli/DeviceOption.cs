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
    private const string Auto = "auto", Cpu = "cpu", CudaPrefix = "cuda:", Gigabytes = "GB";

    public static Option<string> Create() => new("--device")
    {
        Description = "where to compute: auto (a GPU when one works), cpu, cuda:0, or cuda:0@24GB for at most so much of its memory, where programs share it",
        DefaultValueFactory = _ => Auto,
    };

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
                (int ordinal, long memory) = Parse(device);
                if (CudaContext.UnavailableReason is { } missing)
                    throw new NotSupportedException($"--device {device}: {missing}; give cpu");
                if (ordinal >= CudaContext.GetDeviceCount())
                    throw new NotSupportedException($"--device {device}: this machine has {CudaContext.GetDeviceCount()} devices; give cuda:0 to cuda:{CudaContext.GetDeviceCount() - 1}, or cpu");
                return new GpuBackend(ordinal, memory);
        }
    }

    /// <summary>What <c>cuda:N</c> and <c>cuda:N@MGB</c> name: an ordinal, and bytes.</summary>
    /// <exception cref="ArgumentException">Anything else.</exception>
    internal static (int Ordinal, long Memory) Parse(string? device)
    {
        string[] parts = device?.Split('@', 2) ?? [];
        decimal memory = 0;
        bool valid = parts is [var name, ..] && name.StartsWith(CudaPrefix, StringComparison.Ordinal);
        valid &= int.TryParse(valid ? parts[0].AsSpan(CudaPrefix.Length) : "", NumberStyles.None, CultureInfo.InvariantCulture, out int ordinal);
        if (parts is [_, var limit])
        {
            valid &= limit.EndsWith(Gigabytes, StringComparison.Ordinal)
                && decimal.TryParse(limit.AsSpan(0, limit.Length - Gigabytes.Length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out memory)
                && memory is > 0 and < 1_000_000;
        }
        return valid ? (ordinal, memory > 0 ? (long)(memory * 1_000_000_000) : long.MaxValue) : throw new ArgumentException($"--device {device}: expected auto, cpu, cuda:N or cuda:N@24GB");
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
