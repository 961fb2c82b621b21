using System.Runtime.InteropServices;

namespace FastKron.Native.Benchmarks.Compute;

/// <summary>The rival on the CPU: the system's OpenBLAS, as it picks its kernels and block sizes itself.</summary>
/// <remarks>Debian: apt-get install libopenblas0-pthread. A benchmark of it fails with that hint where it is missing.</remarks>
internal static unsafe partial class OpenBlas
{
    private const string Library = "libopenblas.so.0";
    private const int RowMajor = 101, NoTranspose = 111, Transpose = 112;

    /// <summary>Name of the kernels in use, such as Cooperlake or Haswell.</summary>
    public static string CoreName => Marshal.PtrToStringUTF8(openblas_get_corename()) ?? "";

    /// <summary>Whether the library is there.</summary>
    public static bool IsAvailable => NativeLibrary.TryLoad(Library, out _);

    /// <summary>Sets the threads of every later call.</summary>
    public static void UseThreads(int threads)
    {
        if (!IsAvailable)
            throw new NotSupportedException($"{Library} not found; on Debian: apt-get install libopenblas0-pthread");
        openblas_set_num_threads(threads);
    }

    /// <summary>c ← a · bᵀ for contiguous float32 a (m, k), b (n, k), c (m, n).</summary>
    public static void MultiplyTransposed(int m, int n, int k, nint a, nint b, nint c) =>
        cblas_sgemm(RowMajor, NoTranspose, Transpose, m, n, k, 1, (float*)a, k, (float*)b, k, 0, (float*)c, n);

    /// <summary>Like <see cref="MultiplyTransposed"/> for float64.</summary>
    public static void MultiplyTransposedDouble(int m, int n, int k, nint a, nint b, nint c) =>
        cblas_dgemm(RowMajor, NoTranspose, Transpose, m, n, k, 1, (double*)a, k, (double*)b, k, 0, (double*)c, n);

    [LibraryImport(Library)]
    private static partial nint openblas_get_corename();

    [LibraryImport(Library)]
    private static partial void openblas_set_num_threads(int threads);

    [LibraryImport(Library)]
    private static partial void cblas_sgemm(
        int order, int transposeA, int transposeB, int m, int n, int k, float alpha, float* a, int lda, float* b, int ldb, float beta, float* c, int ldc);

    [LibraryImport(Library)]
    private static partial void cblas_dgemm(
        int order, int transposeA, int transposeB, int m, int n, int k, double alpha, double* a, int lda, double* b, int ldb, double beta, double* c, int ldc);
}
