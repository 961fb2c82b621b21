namespace FastKron.Native.Cuda;

/// <summary>Options for the PTX compiler in the driver, besides the logs, which are always captured.</summary>
public sealed class CudaJitOptionCollection
{
    private readonly Dictionary<CUJITOption, uint> _values = [];

    /// <summary>Sets an option that is a number.</summary>
    /// <exception cref="ArgumentException">A log buffer: those are set by the loader.</exception>
    public CudaJitOptionCollection Add(CUJITOption option, uint value)
    {
        if (option is CUJITOption.InfoLogBuffer or CUJITOption.InfoLogBufferSizeBytes or CUJITOption.ErrorLogBuffer or CUJITOption.ErrorLogBufferSizeBytes)
            throw new ArgumentException($"{option} is set by the loader", nameof(option));
        _values[option] = value;
        return this;
    }

    internal IReadOnlyDictionary<CUJITOption, uint> Values => _values;
}
