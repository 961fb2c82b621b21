using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FastKron.Native.Cuda;

/// <summary>The driver API, native names kept.</summary>
internal static unsafe partial class DriverApi
{
    internal const string Library = "cuda";

    static DriverApi() => NativeLibrary.SetDllImportResolver(typeof(DriverApi).Assembly, CudaLibraries.Resolve);

    [LibraryImport(Library)]
    internal static partial CUResult cuInit(uint flags);

    [LibraryImport(Library)]
    internal static partial CUResult cuDriverGetVersion(out int version);

    [LibraryImport(Library)]
    internal static partial CUResult cuDeviceGetCount(out int count);

    [LibraryImport(Library)]
    internal static partial CUResult cuDeviceGet(out int device, int ordinal);

    [LibraryImport(Library)]
    internal static partial CUResult cuDeviceGetName(byte* name, int length, int device);

    [LibraryImport(Library)]
    internal static partial CUResult cuDeviceGetAttribute(out int value, int attribute, int device);

    [LibraryImport(Library, EntryPoint = "cuDeviceTotalMem_v2")]
    internal static partial CUResult cuDeviceTotalMem(out nuint bytes, int device);

    internal static void Check(CUResult result, [CallerArgumentExpression(nameof(result))] string call = "")
    {
        if (result != CUResult.Success)
            throw new CudaException(result, call);
    }
}
