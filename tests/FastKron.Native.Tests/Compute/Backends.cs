using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;

namespace FastKron.Native.Tests.Compute;

/// <summary>The backends under test; every agreement test runs on each.</summary>
internal static class Backends
{
    /// <summary>Names for <c>[ValueSource]</c> and <c>[TestCaseSource]</c>.</summary>
    public static IEnumerable<string> Names => ["cpu"];

    /// <summary>Creates a backend by name.</summary>
    public static IBackend Create(string name) => name switch
    {
        "cpu" => new CpuBackend(),
        _ => throw new ArgumentException($"no backend '{name}'", nameof(name)),
    };
}
