using System.Runtime.CompilerServices;
using static FastKron.Native.Cuda.DriverApi;

namespace FastKron.Native.Cuda;

/// <summary>A kernel of a loaded module. Immutable but for the limits of dynamic shared memory and of clusters; grid and block go to <see cref="Launch"/>.</summary>
public sealed unsafe class CudaKernel
{
    private const uint SharedWithoutAsking = 48 * 1024;   // static and dynamic together
    private const int ClusterWithoutAsking = 8;

    private readonly nint _function;
    private nuint[]? _offsets;   // of the parameters in their struct
    private uint _dynamicLimit;
    private bool _largeClusters;

    internal CudaKernel(string name, nint function)
    {
        (KernelName, _function) = (name, function);
        (MaxThreadsPerBlock, SharedMemory, LocalMemory) = (Get(CUFunctionAttribute.MaxThreadsPerBlock), Get(CUFunctionAttribute.SharedSizeBytes), Get(CUFunctionAttribute.LocalSizeBytes));
        _dynamicLimit = SharedWithoutAsking - Math.Min(SharedWithoutAsking, (uint)SharedMemory);
        (Registers, PtxVersion, BinaryVersion) = (Get(CUFunctionAttribute.NumRegs), Get(CUFunctionAttribute.PtxVersion), Get(CUFunctionAttribute.BinaryVersion));
    }

    /// <summary>The <c>extern "C"</c> name.</summary>
    public string KernelName { get; }

    /// <summary>Largest block.</summary>
    public int MaxThreadsPerBlock { get; }

    /// <summary>Static shared memory in bytes.</summary>
    public int SharedMemory { get; }

    /// <summary>Local memory of a thread in bytes: 0 unless registers spill or an array is indexed.</summary>
    public int LocalMemory { get; }

    /// <summary>Registers of a thread.</summary>
    public int Registers { get; }

    /// <summary>PTX version · 10.</summary>
    public int PtxVersion { get; }

    /// <summary>Machine code version · 10.</summary>
    public int BinaryVersion { get; }

    /// <summary>Blocks of that size that one multiprocessor holds at once.</summary>
    public int MaxActiveBlocks(int blockSize, uint sharedBytes = 0)
    {
        Check(cuOccupancyMaxActiveBlocksPerMultiprocessor(out int blocks, _function, blockSize, sharedBytes));
        return blocks;
    }

    /// <summary>Clusters of blocks that the device holds at once: 0 if it has no room for one.</summary>
    /// <param name="clusterBlocks">Blocks of a cluster, as the kernel declares or as it is launched.</param>
    /// <param name="blockSize">Threads of a block.</param>
    /// <param name="sharedBytes">Dynamic shared memory of a block.</param>
    public int MaxActiveClusters(int clusterBlocks, int blockSize, uint sharedBytes)
    {
        AllowShared(sharedBytes);
        AllowCluster(clusterBlocks);
        var attribute = new CULaunchAttribute { Id = CULaunchAttribute.ClusterDimension, Cluster = clusterBlocks };
        var config = new CULaunchConfig { Grid = clusterBlocks, Block = blockSize, SharedBytes = sharedBytes, Attributes = &attribute, AttributeCount = 1 };
        Check(cuOccupancyMaxActiveClusters(out int clusters, _function, &config));
        return clusters;
    }

    /// <summary>Enqueues the kernel.</summary>
    /// <typeparam name="TArgs">One blittable struct per kernel, fields in parameter order, laid out as the kernel's parameters are.</typeparam>
    /// <param name="stream">The stream.</param>
    /// <param name="grid">Blocks.</param>
    /// <param name="block">Threads of a block.</param>
    /// <param name="args">The parameters.</param>
    /// <param name="sharedBytes">Dynamic shared memory; the kernel's limit is raised when needed.</param>
    /// <param name="clusterBlocks">Blocks side by side that form a cluster, of a kernel that declares no size; more than 1 needs compute capability 9.0, more than 8
    /// a device that has room for them (<see cref="MaxActiveClusters"/>).</param>
    /// <exception cref="InvalidOperationException">The struct does not match the kernel's parameters (checked once).</exception>
    public void Launch<TArgs>(CudaStream stream, dim3 grid, dim3 block, in TArgs args, uint sharedBytes = 0, int clusterBlocks = 1) where TArgs : unmanaged
    {
        nuint[] offsets = _offsets ??= CheckedOffsets<TArgs>();
        AllowShared(sharedBytes);
        AllowCluster(clusterBlocks);
        fixed (TArgs* fields = &args)
        {
            void** parameters = stackalloc void*[offsets.Length];
            for (int i = 0; i < offsets.Length; i++)
                parameters[i] = (byte*)fields + offsets[i];
            if (clusterBlocks == 1)
            {
                Check(cuLaunchKernel(_function, grid.X, grid.Y, grid.Z, block.X, block.Y, block.Z, sharedBytes, stream.Stream, parameters, null), KernelName);
                return;
            }
            var attribute = new CULaunchAttribute { Id = CULaunchAttribute.ClusterDimension, Cluster = clusterBlocks };
            var config = new CULaunchConfig { Grid = grid, Block = block, SharedBytes = sharedBytes, Stream = stream.Stream, Attributes = &attribute, AttributeCount = 1 };
            Check(cuLaunchKernelEx(&config, _function, parameters, null), KernelName);
        }
    }

    private void AllowShared(uint bytes)
    {
        if (bytes <= _dynamicLimit)
            return;
        Check(cuFuncSetAttribute(_function, CUFunctionAttribute.MaxDynamicSharedSizeBytes, (int)bytes));
        _dynamicLimit = bytes;
    }

    private void AllowCluster(int blocks)
    {
        if (blocks <= ClusterWithoutAsking || _largeClusters)
            return;
        Check(cuFuncSetAttribute(_function, CUFunctionAttribute.NonPortableClusterSizeAllowed, 1));
        _largeClusters = true;
    }

    // The parameters must fill the struct, up to its final padding. The driver counts offsets from where its parameter space begins, which for parameters aligned
    // to more than 16 bytes (tensor maps) lies before the first of them.
    private nuint[] CheckedOffsets<TArgs>() where TArgs : unmanaged
    {
        var offsets = new List<nuint>();
        nuint first = 0, end = 0;
        for (nuint index = 0; ; index++)
        {
            CUResult result = cuFuncGetParamInfo(_function, index, out nuint offset, out nuint size);
            if (result == CUResult.ErrorInvalidValue)
                break;
            Check(result, $"cuFuncGetParamInfo({KernelName})");
            if (index == 0)
                first = offset;
            offsets.Add(offset - first);
            end = offset - first + size;
        }
        nuint given = (nuint)Unsafe.SizeOf<TArgs>();
        if (end > given || given - end >= 8)
            throw new InvalidOperationException($"{KernelName}: its parameters take {end} bytes, {typeof(TArgs).Name} has {given}");
        return [.. offsets];
    }

    private int Get(CUFunctionAttribute attribute)
    {
        Check(cuFuncGetAttribute(out int value, attribute, _function));
        return value;
    }
}
