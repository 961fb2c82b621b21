using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FastKron.Native.Cuda;

/// <summary>cuSOLVER's dense functions, native names kept.</summary>
internal static unsafe partial class SolverApi
{
    internal const string Library = "cusolver";

    static SolverApi() => RuntimeHelpers.RunClassConstructor(typeof(DriverApi).TypeHandle);

    [LibraryImport(Library)]
    internal static partial int cusolverDnCreate(out nint handle);

    [LibraryImport(Library)]
    internal static partial int cusolverDnDestroy(nint handle);

    [LibraryImport(Library)]
    internal static partial int cusolverDnSetStream(nint handle, nint stream);

    [LibraryImport(Library)]
    internal static partial int cusolverDnDpotrf_bufferSize(nint handle, FillMode fill, int n, nint a, int lda, out int elements);

    [LibraryImport(Library)]
    internal static partial int cusolverDnDpotrf(nint handle, FillMode fill, int n, nint a, int lda, nint workspace, int elements, nint info);

    [LibraryImport(Library)]
    internal static partial int cusolverDnSpotrf_bufferSize(nint handle, FillMode fill, int n, nint a, int lda, out int elements);

    [LibraryImport(Library)]
    internal static partial int cusolverDnSpotrf(nint handle, FillMode fill, int n, nint a, int lda, nint workspace, int elements, nint info);

    internal static void Check(int status, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != 0)
            throw new CudaSolveException(status, call);
    }
}
