using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Cuda;

namespace FastKron.Native.Tests.Compute;

/// <summary>The backends under test; every agreement test runs on each.</summary>
internal static class Backends
{
    private const string Gpu = "cuda:0";

    /// <summary>Names for <c>[ValueSource]</c> and <c>[TestCaseSource]</c>: the GPU where there is one, or where FASTKRON_REQUIRE_GPU=1 demands it.</summary>
    public static IEnumerable<string> Names => HasGpu ? ["cpu", Gpu] : ["cpu"];

    /// <summary>Whether GPU tests run: a device is there, or must be.</summary>
    public static bool HasGpu { get; } = Environment.GetEnvironmentVariable("FASTKRON_REQUIRE_GPU") == "1" || (CudaContext.IsAvailable && KernelImages.AreBuilt);

    /// <summary>Creates a backend by name.</summary>
    public static IBackend Create(string name) => name switch
    {
        "cpu" => new CpuBackend(),
        Gpu => new GpuBackend(0),
        _ => throw new ArgumentException($"no backend '{name}'", nameof(name)),
    };
}
