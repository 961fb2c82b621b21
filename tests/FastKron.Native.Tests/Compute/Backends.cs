using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;

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

    /// <summary>Whether a backend computes with activations of that type: F32 on all, BF16 on GPUs.</summary>
    public static bool Takes(string name, DType activations) => activations == DType.F32 || (activations == DType.BF16 && name != "cpu");
}
