namespace FastKron.Native.Cuda;

/// <summary>A driver call failed.</summary>
public sealed class CudaException : Exception
{
    /// <summary>Creates the exception for a call.</summary>
    /// <param name="result">What the driver returned.</param>
    /// <param name="call">The call as written.</param>
    public CudaException(CUResult result, string call) : base($"{call}: {(int)result} ({result}){Hint(result)}") => CudaError = result;

    /// <summary>What the driver returned.</summary>
    public CUResult CudaError { get; }

    private static string Hint(CUResult result) => result switch
    {
        CUResult.ErrorNoDevice => "; the driver sees no device: check nvidia-smi and CUDA_VISIBLE_DEVICES",
        CUResult.ErrorSystemDriverMismatch => "; kernel module and libcuda are of different versions: reboot or reinstall the driver",
        _ => "",
    };
}
