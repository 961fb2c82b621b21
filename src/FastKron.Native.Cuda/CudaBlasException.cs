namespace FastKron.Native.Cuda;

/// <summary>A cuBLAS call failed.</summary>
public sealed class CudaBlasException : Exception
{
    /// <summary>Creates the exception for a call.</summary>
    /// <param name="status">cublasStatus_t.</param>
    /// <param name="call">The call as written.</param>
    public CudaBlasException(int status, string call) : base($"{call}: {status} {Name(status)}") => CudaBlasError = status;

    /// <summary>cublasStatus_t.</summary>
    public int CudaBlasError { get; }

    private static string Name(int status) => status switch
    {
        1 => "CUBLAS_STATUS_NOT_INITIALIZED",
        3 => "CUBLAS_STATUS_ALLOC_FAILED; out of device memory",
        7 => "CUBLAS_STATUS_INVALID_VALUE",
        8 => "CUBLAS_STATUS_ARCH_MISMATCH",
        11 => "CUBLAS_STATUS_MAPPING_ERROR",
        13 => "CUBLAS_STATUS_EXECUTION_FAILED",
        14 => "CUBLAS_STATUS_INTERNAL_ERROR",
        15 => "CUBLAS_STATUS_NOT_SUPPORTED",
        _ => "",
    };
}
