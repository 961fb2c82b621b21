using System.CommandLine;
using FastKron.Native.Compute.Cpu;

namespace FastKron.Native.Cli;

/// <summary>The <c>--device</c> option.</summary>
internal static class DeviceOption
{
    public static Option<string> Create() => new("--device") { Description = "where to compute: auto or cpu", DefaultValueFactory = _ => "auto" };

    public static CpuBackend Open(string? device) => device is "auto" or "cpu"
        ? new CpuBackend()
        : throw new NotSupportedException($"--device {device}: this version computes on the CPU; give auto or cpu");
}
