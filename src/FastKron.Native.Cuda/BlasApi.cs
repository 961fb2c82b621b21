using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FastKron.Native.Cuda;

/// <summary>cuBLAS, native names kept.</summary>
internal static unsafe partial class BlasApi
{
    internal const string Library = "cublas";

    static BlasApi() => RuntimeHelpers.RunClassConstructor(typeof(DriverApi).TypeHandle);

    [LibraryImport(Library, EntryPoint = "cublasCreate_v2")]
    internal static partial int cublasCreate(out nint handle);

    [LibraryImport(Library, EntryPoint = "cublasDestroy_v2")]
    internal static partial int cublasDestroy(nint handle);

    [LibraryImport(Library, EntryPoint = "cublasGetVersion_v2")]
    internal static partial int cublasGetVersion(nint handle, out int version);

    [LibraryImport(Library, EntryPoint = "cublasSetStream_v2")]
    internal static partial int cublasSetStream(nint handle, nint stream);

    [LibraryImport(Library, EntryPoint = "cublasSetWorkspace_v2")]
    internal static partial int cublasSetWorkspace(nint handle, nint workspace, nuint bytes);

    [LibraryImport(Library)]
    internal static partial int cublasSetMathMode(nint handle, int mode);

    [LibraryImport(Library)]
    internal static partial int cublasSetAtomicsMode(nint handle, int mode);

    [LibraryImport(Library)]
    internal static partial int cublasGemmEx(
        nint handle, Operation transposeA, Operation transposeB, int m, int n, int k, void* alpha, nint a, BlasDataType typeA, int lda,
        nint b, BlasDataType typeB, int ldb, void* beta, nint c, BlasDataType typeC, int ldc, ComputeType compute, int algorithm);

    [LibraryImport(Library)]
    internal static partial int cublasGemmStridedBatchedEx(
        nint handle, Operation transposeA, Operation transposeB, int m, int n, int k, void* alpha, nint a, BlasDataType typeA, int lda, long strideA,
        nint b, BlasDataType typeB, int ldb, long strideB, void* beta, nint c, BlasDataType typeC, int ldc, long strideC, int batch, ComputeType compute, int algorithm);

    [LibraryImport(Library, EntryPoint = "cublasSsyrk_v2")]
    internal static partial int cublasSsyrk(nint handle, FillMode fill, Operation transpose, int n, int k, float* alpha, nint a, int lda, float* beta, nint c, int ldc);

    [LibraryImport(Library, EntryPoint = "cublasDsyrk_v2")]
    internal static partial int cublasDsyrk(nint handle, FillMode fill, Operation transpose, int n, int k, double* alpha, nint a, int lda, double* beta, nint c, int ldc);

    [LibraryImport(Library, EntryPoint = "cublasStrsm_v2")]
    internal static partial int cublasStrsm(nint handle, SideMode side, FillMode fill, Operation transpose, DiagType diagonal, int m, int n, float* alpha, nint a, int lda, nint b, int ldb);

    [LibraryImport(Library, EntryPoint = "cublasDtrsm_v2")]
    internal static partial int cublasDtrsm(nint handle, SideMode side, FillMode fill, Operation transpose, DiagType diagonal, int m, int n, double* alpha, nint a, int lda, nint b, int ldb);

    internal static void Check(int status, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != 0)
            throw new CudaBlasException(status, call);
    }
}
