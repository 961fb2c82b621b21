using System.Text;
using static FastKron.Native.Cuda.DriverApi;

namespace FastKron.Native.Cuda;

/// <summary>A loaded kernel image. Loads in the current context; kernels live as long as the module.</summary>
public sealed unsafe class CudaModule : IDisposable
{
    private const int LogBytes = 16 * 1024, PtxInput = 1;

    private readonly CudaHandle _handle;

    private CudaModule(nint module) => _handle = CudaHandle.Module(module);

    /// <summary>Compiles PTX for the current device and loads it.</summary>
    /// <param name="ptx">PTX text, UTF-8.</param>
    /// <param name="options">Further options; null for none.</param>
    /// <exception cref="CudaException">With the compiler's log.</exception>
    public static CudaModule LoadModulePTX(ReadOnlySpan<byte> ptx, CudaJitOptionCollection? options = null)
    {
        byte[] terminated = [.. ptx, 0];
        byte[] log = new byte[LogBytes];
        fixed (byte* image = terminated, errors = log)
        {
            int count = 2 + (options?.Values.Count ?? 0), i = 2;
            CUJITOption* names = stackalloc CUJITOption[count];
            void** values = stackalloc void*[count];
            names[0] = CUJITOption.ErrorLogBuffer;
            values[0] = errors;
            names[1] = CUJITOption.ErrorLogBufferSizeBytes;
            values[1] = (void*)LogBytes;
            foreach ((CUJITOption name, uint value) in options?.Values ?? new Dictionary<CUJITOption, uint>())
            {
                names[i] = name;
                values[i++] = (void*)(nuint)value;
            }
            CUResult result = cuModuleLoadDataEx(out nint module, image, (uint)count, names, values);
            return result == CUResult.Success ? new CudaModule(module) : throw new CudaException(result, "cuModuleLoadDataEx", Text(log));
        }
    }

    /// <summary>Loads a fat binary or cubin.</summary>
    public static CudaModule LoadModuleFatBin(ReadOnlySpan<byte> image)
    {
        fixed (byte* data = image)
        {
            Check(cuModuleLoadDataEx(out nint module, data, 0, null, null));
            return new CudaModule(module);
        }
    }

    /// <summary>Compiles PTX with the driver's own linker and gives the machine code, for looking at with a disassembler.</summary>
    public static byte[] CompileToCubin(ReadOnlySpan<byte> ptx)
    {
        byte[] terminated = [.. ptx, 0];
        byte[] log = new byte[LogBytes];
        fixed (byte* image = terminated, errors = log)
        {
            CUJITOption* names = stackalloc CUJITOption[2] { CUJITOption.ErrorLogBuffer, CUJITOption.ErrorLogBufferSizeBytes };
            void** values = stackalloc void*[2] { errors, (void*)LogBytes };
            Check(cuLinkCreate(2, names, values, out nint state));
            try
            {
                CUResult result = cuLinkAddData(state, PtxInput, image, (nuint)terminated.Length, null, 0, null, null);
                if (result != CUResult.Success)
                    throw new CudaException(result, "cuLinkAddData", Text(log));
                result = cuLinkComplete(state, out void* cubin, out nuint size);
                return result == CUResult.Success ? new ReadOnlySpan<byte>(cubin, checked((int)size)).ToArray() : throw new CudaException(result, "cuLinkComplete", Text(log));
            }
            finally
            {
                _ = cuLinkDestroy(state);
            }
        }
    }

    /// <summary>A kernel by its <c>extern "C"</c> name.</summary>
    /// <exception cref="CudaException">The module has none of that name.</exception>
    public CudaKernel GetKernel(string name)
    {
        CUResult result = cuModuleGetFunction(out nint function, _handle.Value, name);
        return result == CUResult.Success ? new CudaKernel(name, function) : throw new CudaException(result, $"cuModuleGetFunction({name})");
    }

    /// <summary>Unloads the module.</summary>
    public void Dispose() => _handle.Dispose();

    private static string Text(byte[] log) => Encoding.UTF8.GetString(log, 0, Math.Max(0, Array.IndexOf(log, (byte)0))).ReplaceLineEndings(" | ").Trim();
}
