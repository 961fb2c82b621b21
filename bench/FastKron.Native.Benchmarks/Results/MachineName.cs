using FastKron.Native.Compute.Cpu;

namespace FastKron.Native.Benchmarks.Results;

/// <summary>Names the hardware in records.</summary>
internal static class MachineName
{
    /// <summary>Processor, threads and instruction set.</summary>
    public static string Cpu { get; } = DescribeCpu();

    private static string DescribeCpu()
    {
        const string Info = "/proc/cpuinfo", Key = "model name";
        string? line = File.Exists(Info) ? File.ReadLines(Info).FirstOrDefault(l => l.StartsWith(Key, StringComparison.Ordinal)) : null;
        using var backend = new CpuBackend();
        return $"{line?[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim() ?? "unknown processor"}, {backend.Name}";
    }
}
