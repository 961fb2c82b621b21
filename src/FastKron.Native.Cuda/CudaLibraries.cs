using System.Collections.Concurrent;
using System.Reflection;
using System.Runtime.InteropServices;

namespace FastKron.Native.Cuda;

/// <summary>Finds the CUDA libraries under their versioned names. Nothing is loaded before it is asked for.</summary>
public static class CudaLibraries
{
    private static readonly ConcurrentDictionary<string, CudaLibrary> Found = new(StringComparer.Ordinal);

    /// <summary>The driver, cuBLAS and cuSOLVER, in this order.</summary>
    public static IReadOnlyList<string> Names { get; } = [DriverApi.Library, BlasApi.Library, SolverApi.Library];

    /// <summary>Looks a library up: beside the program, then where the system looks (LD_LIBRARY_PATH included).</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    public static CudaLibrary Find(string name) => Found.GetOrAdd(name, Load);

    /// <summary>Import resolver of this assembly.</summary>
    /// <exception cref="DllNotFoundException">Lists every name tried.</exception>
    internal static nint Resolve(string name, Assembly assembly, DllImportSearchPath? searchPath)
    {
        CudaLibrary library = Find(name);
        return library.Handle != 0 ? library.Handle : throw new DllNotFoundException($"{name}: not found; tried {string.Join(", ", library.Tried)}");
    }

    private static CudaLibrary Load(string name)
    {
        string[] candidates = Candidates(name);
        var tried = new List<string>(2 * candidates.Length);
        foreach (string candidate in candidates)
        {
            foreach (string path in new[] { Path.Combine(AppContext.BaseDirectory, candidate), candidate })
            {
                tried.Add(path);
                if (NativeLibrary.TryLoad(path, out nint handle))
                    return new CudaLibrary(name, path, handle, tried);
            }
        }
        return new CudaLibrary(name, null, 0, tried);
    }

    private static string[] Candidates(string name) => (name, OperatingSystem.IsWindows()) switch
    {
        (DriverApi.Library, false) => ["libcuda.so.1"],
        (DriverApi.Library, true) => ["nvcuda.dll"],
        (BlasApi.Library, false) => ["libcublas.so.13", "libcublas.so.12"],
        (BlasApi.Library, true) => ["cublas64_13.dll", "cublas64_12.dll"],
        (SolverApi.Library, false) => ["libcusolver.so.12", "libcusolver.so.11"],
        (SolverApi.Library, true) => ["cusolver64_12.dll", "cusolver64_11.dll"],
        _ => throw new ArgumentException($"'{name}' is no CUDA library; known: {string.Join(", ", Names)}", nameof(name)),
    };
}

/// <summary>Outcome of looking a library up.</summary>
/// <param name="Name">Short name.</param>
/// <param name="Path">File name under which it was loaded; null if it was not found.</param>
/// <param name="Handle">Module handle, 0 if not found.</param>
/// <param name="Tried">Names tried, in order.</param>
public sealed record CudaLibrary(string Name, string? Path, nint Handle, IReadOnlyList<string> Tried);
