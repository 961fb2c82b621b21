namespace FastKron.Native.Cuda;

/// <summary>Sizes of a device.</summary>
public sealed record CudaDeviceProperties
{
    /// <summary>Name.</summary>
    public required string DeviceName { get; init; }

    /// <summary>Compute capability.</summary>
    public required Version ComputeCapability { get; init; }

    /// <summary>Memory in bytes.</summary>
    public required long TotalGlobalMemory { get; init; }

    /// <summary>Multiprocessors.</summary>
    public required int MultiProcessorCount { get; init; }

    /// <summary>L2 cache in bytes.</summary>
    public required int L2CacheSize { get; init; }

    /// <summary>Most shared memory a block can ask for, in bytes.</summary>
    public required int SharedMemoryPerBlockOptin { get; init; }
}
