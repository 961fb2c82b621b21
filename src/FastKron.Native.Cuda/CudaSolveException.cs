namespace FastKron.Native.Cuda;

/// <summary>A cuSOLVER call failed.</summary>
public sealed class CudaSolveException : Exception
{
    /// <summary>Creates the exception for a call.</summary>
    /// <param name="status">cusolverStatus_t.</param>
    /// <param name="call">The call as written.</param>
    public CudaSolveException(int status, string call) : base($"{call}: {status} {Name(status)}") => CudaSolveError = status;

    /// <summary>cusolverStatus_t.</summary>
    public int CudaSolveError { get; }

    private static string Name(int status) => status switch
    {
        1 => "CUSOLVER_STATUS_NOT_INITIALIZED",
        2 => "CUSOLVER_STATUS_ALLOC_FAILED; out of device memory",
        3 => "CUSOLVER_STATUS_INVALID_VALUE",
        4 => "CUSOLVER_STATUS_ARCH_MISMATCH",
        6 => "CUSOLVER_STATUS_EXECUTION_FAILED",
        7 => "CUSOLVER_STATUS_INTERNAL_ERROR",
        _ => "",
    };
}
