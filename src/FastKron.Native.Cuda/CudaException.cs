using System.Runtime.InteropServices;

namespace FastKron.Native.Cuda;

/// <summary>A driver call failed.</summary>
public sealed unsafe class CudaException : Exception
{
    /// <summary>Creates the exception for a call.</summary>
    /// <param name="result">What the driver returned.</param>
    /// <param name="call">The call as written.</param>
    /// <param name="detail">More that is known, such as the JIT compiler's log; null for nothing.</param>
    public CudaException(CUResult result, string call, string? detail = null)
        : base($"{call}: {(int)result} {Name(result)}{Hint(result)}{(detail is null ? "" : $"; {detail}")}") => CudaError = result;

    /// <summary>What the driver returned.</summary>
    public CUResult CudaError { get; }

    private static string Name(CUResult result)
    {
        byte* name = null;
        return CudaLibraries.Find(DriverApi.Library).Path is not null && DriverApi.cuGetErrorName(result, &name) == CUResult.Success
            ? Marshal.PtrToStringUTF8((nint)name)!
            : result.ToString();
    }

    private static string Hint(CUResult result) => result switch
    {
        CUResult.ErrorNoDevice => "; the driver sees no device: check nvidia-smi and CUDA_VISIBLE_DEVICES",
        CUResult.ErrorSystemDriverMismatch => "; kernel module and libcuda are of different versions: reboot or reinstall the driver",
        CUResult.ErrorUnsupportedPtxVersion or CUResult.ErrorNoBinaryForGPU => "; the driver is older than the kernels or the device below compute capability 8.0: update the driver",
        CUResult.ErrorIllegalAddress or CUResult.ErrorMisalignedAddress or CUResult.ErrorLaunchFailed => "; a kernel failed, the context is lost: run compute-sanitizer and report this",
        _ => "",
    };
}
