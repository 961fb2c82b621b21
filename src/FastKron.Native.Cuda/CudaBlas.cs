using static FastKron.Native.Cuda.BlasApi;

namespace FastKron.Native.Cuda;

/// <summary>A cuBLAS handle on one stream. Column-major, as BLAS; only the GPU backend turns row-major calls into it. Device pointers throughout, host scalars.</summary>
public sealed unsafe class CudaBlas : IDisposable
{
    private const int DefaultAlgorithm = -1, AtomicsNotAllowed = 0;

    private readonly CudaHandle _handle;
    private MathMode _mathMode;

    /// <summary>Creates a handle in the current context; results are bitwise reproducible (no atomics).</summary>
    public CudaBlas(CudaStream stream)
    {
        Check(cublasCreate(out nint handle));
        _handle = new CudaHandle(handle, static h => _ = cublasDestroy(h));
        Check(cublasSetStream(handle, stream.Stream));
        Check(cublasSetAtomicsMode(handle, AtomicsNotAllowed));
    }

    /// <summary>What products may do to their sums.</summary>
    public MathMode MathMode
    {
        get => _mathMode;
        set
        {
            Check(cublasSetMathMode(_handle.Value, (int)value));
            _mathMode = value;
        }
    }

    /// <summary>Version, for example 13.0.2 as 130002.</summary>
    public int GetVersion()
    {
        Check(cublasGetVersion(_handle.Value, out int version));
        return version;
    }

    /// <summary>Gives the handle a workspace of its own, so that it never allocates.</summary>
    public void SetWorkspace(nint workspace, long bytes) => Check(cublasSetWorkspace(_handle.Value, workspace, (nuint)bytes));

    /// <summary>C (m, n) ← α·op(A)·op(B) + β·C.</summary>
    public void GemmEx(
        Operation transposeA, Operation transposeB, int m, int n, int k, double alpha, nint a, BlasDataType typeA, int lda,
        nint b, BlasDataType typeB, int ldb, double beta, nint c, BlasDataType typeC, int ldc, ComputeType compute)
    {
        float alpha32 = (float)alpha, beta32 = (float)beta;
        bool wide = compute == ComputeType.Compute64F;
        Check(cublasGemmEx(
            _handle.Value, transposeA, transposeB, m, n, k, wide ? &alpha : &alpha32, a, typeA, lda, b, typeB, ldb, wide ? &beta : &beta32, c, typeC, ldc, compute, DefaultAlgorithm));
    }

    /// <summary>The same for a batch of matrices at constant distances.</summary>
    public void GemmStridedBatched(
        Operation transposeA, Operation transposeB, int m, int n, int k, float alpha, nint a, BlasDataType typeA, int lda, long strideA,
        nint b, BlasDataType typeB, int ldb, long strideB, float beta, nint c, BlasDataType typeC, int ldc, long strideC, int batch)
        => Check(cublasGemmStridedBatchedEx(
            _handle.Value, transposeA, transposeB, m, n, k, &alpha, a, typeA, lda, strideA, b, typeB, ldb, strideB, &beta, c, typeC, ldc, strideC, batch, ComputeType.Compute32F, DefaultAlgorithm));

    /// <summary>One triangle of C (n, n) ← α·op(A)·op(A)ᵀ + β·C, float32.</summary>
    public void Syrk(FillMode fill, Operation transpose, int n, int k, float alpha, nint a, int lda, float beta, nint c, int ldc)
        => Check(cublasSsyrk(_handle.Value, fill, transpose, n, k, &alpha, a, lda, &beta, c, ldc));

    /// <summary>One triangle of C (n, n) ← α·op(A)·op(A)ᵀ + β·C, float64.</summary>
    public void Syrk(FillMode fill, Operation transpose, int n, int k, double alpha, nint a, int lda, double beta, nint c, int ldc)
        => Check(cublasDsyrk(_handle.Value, fill, transpose, n, k, &alpha, a, lda, &beta, c, ldc));

    /// <summary>B (m, n) ← α·op(A)⁻¹·B or α·B·op(A)⁻¹, A triangular, float32.</summary>
    public void Trsm(SideMode side, FillMode fill, Operation transpose, DiagType diagonal, int m, int n, float alpha, nint a, int lda, nint b, int ldb)
        => Check(cublasStrsm(_handle.Value, side, fill, transpose, diagonal, m, n, &alpha, a, lda, b, ldb));

    /// <summary>B (m, n) ← α·op(A)⁻¹·B or α·B·op(A)⁻¹, A triangular, float64.</summary>
    public void Trsm(SideMode side, FillMode fill, Operation transpose, DiagType diagonal, int m, int n, double alpha, nint a, int lda, nint b, int ldb)
        => Check(cublasDtrsm(_handle.Value, side, fill, transpose, diagonal, m, n, &alpha, a, lda, b, ldb));

    /// <summary>Destroys the handle.</summary>
    public void Dispose() => _handle.Dispose();
}
