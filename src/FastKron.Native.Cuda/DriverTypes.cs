using System.Runtime.InteropServices;

namespace FastKron.Native.Cuda;

/// <summary>Device attributes that are asked for; values of cuda.h.</summary>
internal enum CUDeviceAttribute
{
    MultiprocessorCount = 16,
    L2CacheSize = 38,
    ComputeCapabilityMajor = 75,
    ComputeCapabilityMinor = 76,
    MaxSharedMemoryPerBlockOptin = 97,
}

/// <summary>Function attributes; values of cuda.h.</summary>
internal enum CUFunctionAttribute
{
    MaxThreadsPerBlock = 0,
    SharedSizeBytes = 1,
    LocalSizeBytes = 3,
    NumRegs = 4,
    PtxVersion = 5,
    BinaryVersion = 6,
    MaxDynamicSharedSizeBytes = 8,
    NonPortableClusterSizeAllowed = 14,
}

/// <summary>Options of the PTX compiler in the driver; values of cuda.h.</summary>
public enum CUJITOption
{
    /// <summary>Most registers a thread may use.</summary>
    MaxRegisters = 0,

    /// <summary>Buffer for the log.</summary>
    InfoLogBuffer = 3,

    /// <summary>Its size in bytes; afterwards the bytes written.</summary>
    InfoLogBufferSizeBytes = 4,

    /// <summary>Buffer for errors.</summary>
    ErrorLogBuffer = 5,

    /// <summary>Its size in bytes; afterwards the bytes written.</summary>
    ErrorLogBufferSizeBytes = 6,

    /// <summary>0 … 4.</summary>
    OptimizationLevel = 7,

    /// <summary>Whether line numbers are kept.</summary>
    GenerateLineInfo = 13,
}

/// <summary>Attributes of a memory pool; values of cuda.h.</summary>
internal enum CUmemPoolAttribute
{
    ReleaseThreshold = 4,
    ReservedMemCurrent = 5,
    UsedMemCurrent = 7,
    UsedMemHigh = 8,
}

/// <summary>CUmemPoolProps.</summary>
[StructLayout(LayoutKind.Sequential, Size = 88)]
internal struct CUmemPoolProps
{
    public int AllocationType;
    public int HandleTypes;
    public int LocationType;
    public int LocationId;
    public nint SecurityAttributes;
    public nuint MaxSize;
}

/// <summary>CUlaunchConfig of cuda.h.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct CULaunchConfig
{
    public dim3 Grid;
    public dim3 Block;
    public uint SharedBytes;
    public nint Stream;
    public CULaunchAttribute* Attributes;
    public uint AttributeCount;
}

/// <summary>CUlaunchAttribute of cuda.h with the dimensions of a cluster as its value.</summary>
[StructLayout(LayoutKind.Explicit, Size = 72)]
internal struct CULaunchAttribute
{
    /// <summary>CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION.</summary>
    public const int ClusterDimension = 4;

    [FieldOffset(0)]
    public int Id;

    [FieldOffset(8)]
    public dim3 Cluster;
}

/// <summary>Size of a grid or a block.</summary>
/// <param name="X">First dimension.</param>
/// <param name="Y">Second dimension.</param>
/// <param name="Z">Third dimension.</param>
#pragma warning disable CA1708, IDE1006 // CUDA's own name, as in ManagedCuda
public readonly record struct dim3(uint X, uint Y = 1, uint Z = 1)
#pragma warning restore CA1708, IDE1006
{
    /// <summary>A one-dimensional size.</summary>
    public static implicit operator dim3(int x) => new(checked((uint)x));

    /// <summary>A one-dimensional size.</summary>
    public static dim3 FromInt32(int x) => x;
}
