namespace FastKron.Native.Cuda;

/// <summary>Result of a driver call; members keep ManagedCuda's names, values are those of cuda.h. Codes without a member here keep their number.</summary>
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

    /// <summary>CUDA_ERROR_INVALID_IMAGE.</summary>
    ErrorInvalidImage = 200,

    /// <summary>CUDA_ERROR_INVALID_CONTEXT.</summary>
    ErrorInvalidContext = 201,

    /// <summary>CUDA_ERROR_NO_BINARY_FOR_GPU.</summary>
    ErrorNoBinaryForGPU = 209,

    /// <summary>CUDA_ERROR_INVALID_PTX.</summary>
    ErrorInvalidPtx = 218,

    /// <summary>CUDA_ERROR_UNSUPPORTED_PTX_VERSION.</summary>
    ErrorUnsupportedPtxVersion = 222,

    /// <summary>CUDA_ERROR_INVALID_HANDLE.</summary>
    ErrorInvalidHandle = 400,

    /// <summary>CUDA_ERROR_NOT_FOUND.</summary>
    ErrorNotFound = 500,

    /// <summary>CUDA_ERROR_NOT_READY: work is still running; no failure.</summary>
    ErrorNotReady = 600,

    /// <summary>CUDA_ERROR_ILLEGAL_ADDRESS.</summary>
    ErrorIllegalAddress = 700,

    /// <summary>CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES.</summary>
    ErrorLaunchOutOfResources = 701,

    /// <summary>CUDA_ERROR_LAUNCH_TIMEOUT.</summary>
    ErrorLaunchTimeout = 702,

    /// <summary>CUDA_ERROR_MISALIGNED_ADDRESS.</summary>
    ErrorMisalignedAddress = 716,

    /// <summary>CUDA_ERROR_LAUNCH_FAILED.</summary>
    ErrorLaunchFailed = 719,

    /// <summary>CUDA_ERROR_SYSTEM_DRIVER_MISMATCH.</summary>
    ErrorSystemDriverMismatch = 803,

    /// <summary>CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE.</summary>
    ErrorCompatNotSupportedOnDevice = 804,

    /// <summary>CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED.</summary>
    ErrorStreamCaptureUnsupported = 900,

    /// <summary>CUDA_ERROR_STREAM_CAPTURE_INVALIDATED.</summary>
    ErrorStreamCaptureInvalidated = 901,

    /// <summary>CUDA_ERROR_UNKNOWN.</summary>
    ErrorUnknown = 999,
}
