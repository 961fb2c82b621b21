namespace FastKron.Native.Cuda;

/// <summary>Result of a driver call; members keep ManagedCuda's names, values are those of cuda.h.</summary>
public enum CUResult
{
    /// <summary>CUDA_SUCCESS.</summary>
    Success = 0,

    /// <summary>CUDA_ERROR_INVALID_VALUE.</summary>
    ErrorInvalidValue = 1,

    /// <summary>CUDA_ERROR_OUT_OF_MEMORY.</summary>
    ErrorOutOfMemory = 2,

    /// <summary>CUDA_ERROR_NOT_INITIALIZED.</summary>
    ErrorNotInitialized = 3,

    /// <summary>CUDA_ERROR_DEINITIALIZED.</summary>
    ErrorDeinitialized = 4,

    /// <summary>CUDA_ERROR_NO_DEVICE.</summary>
    ErrorNoDevice = 100,

    /// <summary>CUDA_ERROR_INVALID_DEVICE.</summary>
    ErrorInvalidDevice = 101,

    /// <summary>CUDA_ERROR_SYSTEM_DRIVER_MISMATCH.</summary>
    ErrorSystemDriverMismatch = 803,

    /// <summary>CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE.</summary>
    ErrorCompatNotSupportedOnDevice = 804,

    /// <summary>CUDA_ERROR_UNKNOWN.</summary>
    ErrorUnknown = 999,
}
