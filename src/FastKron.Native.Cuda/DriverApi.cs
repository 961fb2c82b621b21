using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FastKron.Native.Cuda;

/// <summary>The driver API, native names kept; functions whose ABI was revised bind the revision (<c>_v2</c>) that cuda.h uses.</summary>
internal static unsafe partial class DriverApi
{
    internal const string Library = "cuda";

    static DriverApi() => NativeLibrary.SetDllImportResolver(typeof(DriverApi).Assembly, CudaLibraries.Resolve);

    // ---- Driver and devices ----

    [LibraryImport(Library)]
    internal static partial CUResult cuInit(uint flags);

    [LibraryImport(Library)]
    internal static partial CUResult cuDriverGetVersion(out int version);

    [LibraryImport(Library)]
    internal static partial CUResult cuGetErrorName(CUResult error, byte** name);

    [LibraryImport(Library)]
    internal static partial CUResult cuDeviceGetCount(out int count);

    [LibraryImport(Library)]
    internal static partial CUResult cuDeviceGet(out int device, int ordinal);

    [LibraryImport(Library)]
    internal static partial CUResult cuDeviceGetName(byte* name, int length, int device);

    [LibraryImport(Library)]
    internal static partial CUResult cuDeviceGetAttribute(out int value, CUDeviceAttribute attribute, int device);

    [LibraryImport(Library, EntryPoint = "cuDeviceTotalMem_v2")]
    internal static partial CUResult cuDeviceTotalMem(out nuint bytes, int device);

    // ---- Context ----

    [LibraryImport(Library)]
    internal static partial CUResult cuDevicePrimaryCtxRetain(out nint context, int device);

    [LibraryImport(Library, EntryPoint = "cuDevicePrimaryCtxRelease_v2")]
    internal static partial CUResult cuDevicePrimaryCtxRelease(int device);

    [LibraryImport(Library)]
    internal static partial CUResult cuCtxSetCurrent(nint context);

    [LibraryImport(Library, EntryPoint = "cuCtxPushCurrent_v2")]
    internal static partial CUResult cuCtxPushCurrent(nint context);

    [LibraryImport(Library, EntryPoint = "cuCtxPopCurrent_v2")]
    internal static partial CUResult cuCtxPopCurrent(out nint context);

    [LibraryImport(Library)]
    internal static partial CUResult cuCtxSynchronize();

    // ---- Memory ----

    [LibraryImport(Library, EntryPoint = "cuMemGetInfo_v2")]
    internal static partial CUResult cuMemGetInfo(out nuint free, out nuint total);

    [LibraryImport(Library, EntryPoint = "cuMemAlloc_v2")]
    internal static partial CUResult cuMemAlloc(out nint pointer, nuint bytes);

    [LibraryImport(Library, EntryPoint = "cuMemFree_v2")]
    internal static partial CUResult cuMemFree(nint pointer);

    [LibraryImport(Library)]
    internal static partial CUResult cuMemAllocFromPoolAsync(out nint pointer, nuint bytes, nint pool, nint stream);

    [LibraryImport(Library)]
    internal static partial CUResult cuMemFreeAsync(nint pointer, nint stream);

    [LibraryImport(Library)]
    internal static partial CUResult cuMemPoolCreate(out nint pool, in CUmemPoolProps properties);

    [LibraryImport(Library)]
    internal static partial CUResult cuMemPoolDestroy(nint pool);

    [LibraryImport(Library)]
    internal static partial CUResult cuMemPoolSetAttribute(nint pool, CUmemPoolAttribute attribute, ref ulong value);

    [LibraryImport(Library)]
    internal static partial CUResult cuMemPoolGetAttribute(nint pool, CUmemPoolAttribute attribute, out ulong value);

    [LibraryImport(Library)]
    internal static partial CUResult cuMemPoolTrimTo(nint pool, nuint minimumBytes);

    [LibraryImport(Library)]
    internal static partial CUResult cuMemHostAlloc(out nint pointer, nuint bytes, uint flags);

    [LibraryImport(Library)]
    internal static partial CUResult cuMemFreeHost(nint pointer);

    [LibraryImport(Library, EntryPoint = "cuMemHostRegister_v2")]
    internal static unsafe partial CUResult cuMemHostRegister(void* pointer, nuint bytes, uint flags);

    [LibraryImport(Library)]
    internal static unsafe partial CUResult cuMemHostUnregister(void* pointer);

    [LibraryImport(Library, EntryPoint = "cuMemcpyHtoDAsync_v2")]
    internal static partial CUResult cuMemcpyHtoDAsync(nint destination, void* source, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpyDtoHAsync_v2")]
    internal static partial CUResult cuMemcpyDtoHAsync(void* destination, nint source, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpyDtoDAsync_v2")]
    internal static partial CUResult cuMemcpyDtoDAsync(nint destination, nint source, nuint bytes, nint stream);

    [LibraryImport(Library)]
    internal static partial CUResult cuMemsetD8Async(nint destination, byte value, nuint count, nint stream);

    // ---- Modules and kernels ----

    [LibraryImport(Library)]
    internal static partial CUResult cuModuleLoadDataEx(out nint module, void* image, uint count, CUJITOption* options, void** values);

    [LibraryImport(Library)]
    internal static partial CUResult cuModuleUnload(nint module);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial CUResult cuModuleGetFunction(out nint function, nint module, string name);

    [LibraryImport(Library)]
    internal static partial CUResult cuFuncGetAttribute(out int value, CUFunctionAttribute attribute, nint function);

    [LibraryImport(Library)]
    internal static partial CUResult cuFuncSetAttribute(nint function, CUFunctionAttribute attribute, int value);

    [LibraryImport(Library)]
    internal static partial CUResult cuFuncGetParamInfo(nint function, nuint index, out nuint offset, out nuint size);

    [LibraryImport(Library)]
    internal static partial CUResult cuOccupancyMaxActiveBlocksPerMultiprocessor(out int blocks, nint function, int blockSize, nuint sharedBytes);

    [LibraryImport(Library)]
    internal static partial CUResult cuOccupancyMaxActiveClusters(out int clusters, nint function, CULaunchConfig* config);

    [LibraryImport(Library)]
    internal static partial CUResult cuLaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedBytes, nint stream, void** parameters, void** extra);

    [LibraryImport(Library)]
    internal static partial CUResult cuLaunchKernelEx(CULaunchConfig* config, nint function, void** parameters, void** extra);

    [LibraryImport(Library, EntryPoint = "cuLinkCreate_v2")]
    internal static partial CUResult cuLinkCreate(uint count, CUJITOption* options, void** values, out nint state);

    [LibraryImport(Library, EntryPoint = "cuLinkAddData_v2")]
    internal static partial CUResult cuLinkAddData(nint state, int type, void* data, nuint size, byte* name, uint count, CUJITOption* options, void** values);

    [LibraryImport(Library)]
    internal static partial CUResult cuLinkComplete(nint state, out void* cubin, out nuint size);

    [LibraryImport(Library)]
    internal static partial CUResult cuLinkDestroy(nint state);

    // ---- Streams, events, graphs ----

    [LibraryImport(Library)]
    internal static partial CUResult cuStreamCreateWithPriority(out nint stream, uint flags, int priority);

    [LibraryImport(Library, EntryPoint = "cuStreamDestroy_v2")]
    internal static partial CUResult cuStreamDestroy(nint stream);

    [LibraryImport(Library)]
    internal static partial CUResult cuStreamSynchronize(nint stream);

    [LibraryImport(Library)]
    internal static partial CUResult cuStreamQuery(nint stream);

    [LibraryImport(Library)]
    internal static partial CUResult cuStreamWaitEvent(nint stream, nint @event, uint flags);

    [LibraryImport(Library)]
    internal static partial CUResult cuStreamGetPriority(nint stream, out int priority);

    [LibraryImport(Library, EntryPoint = "cuStreamBeginCapture_v2")]
    internal static partial CUResult cuStreamBeginCapture(nint stream, int mode);

    [LibraryImport(Library)]
    internal static partial CUResult cuStreamEndCapture(nint stream, out nint graph);

    [LibraryImport(Library)]
    internal static partial CUResult cuGraphInstantiateWithFlags(out nint graphExec, nint graph, ulong flags);

    [LibraryImport(Library)]
    internal static partial CUResult cuGraphLaunch(nint graphExec, nint stream);

    [LibraryImport(Library)]
    internal static partial CUResult cuGraphUpload(nint graphExec, nint stream);

    [LibraryImport(Library)]
    internal static partial CUResult cuGraphExecDestroy(nint graphExec);

    [LibraryImport(Library)]
    internal static partial CUResult cuGraphDestroy(nint graph);

    [LibraryImport(Library)]
    internal static partial CUResult cuEventCreate(out nint @event, uint flags);

    [LibraryImport(Library, EntryPoint = "cuEventDestroy_v2")]
    internal static partial CUResult cuEventDestroy(nint @event);

    [LibraryImport(Library)]
    internal static partial CUResult cuEventRecord(nint @event, nint stream);

    [LibraryImport(Library)]
    internal static partial CUResult cuEventSynchronize(nint @event);

    [LibraryImport(Library)]
    internal static partial CUResult cuEventQuery(nint @event);

    [LibraryImport(Library)]
    internal static partial CUResult cuEventElapsedTime(out float milliseconds, nint start, nint end);

    // ---- Tensor maps ----

    [LibraryImport(Library)]
    internal static partial CUResult cuTensorMapEncodeTiled(
        CudaTensorMap* map, int type, uint rank, nint address, ulong* sizes, ulong* strides, uint* box, uint* steps, int interleave, int swizzle, int promotion, int fill);

    /// <summary>Throws unless the call succeeded.</summary>
    internal static void Check(CUResult result, [CallerArgumentExpression(nameof(result))] string call = "")
    {
        if (result != CUResult.Success)
            throw new CudaException(result, call);
    }
}
