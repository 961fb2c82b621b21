using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Out-of-place transposition of small blocks.</summary>
internal static unsafe class Transposition
{
    /// <summary>Columns handled together: one cache line of float32, so that a line of the source is read once.</summary>
    private const int ColumnBlock = 16;

    /// <summary>destination[c, r] ← source[r, c].</summary>
    /// <param name="source">(rows, columns).</param>
    /// <param name="sourceStride">Elements between rows of source.</param>
    /// <param name="rows">Rows of source.</param>
    /// <param name="columns">Columns of source.</param>
    /// <param name="destination">(columns, rows).</param>
    /// <param name="destinationStride">Elements between rows of destination.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transpose<T>(T* source, nint sourceStride, int rows, int columns, T* destination, nint destinationStride)
        where T : unmanaged
    {
        int step = sizeof(T) == 4 && Sse.IsSupported ? 4 : sizeof(T) == 8 && Sse2.IsSupported ? 2 : 1;
        int evenRows = rows / step * step, evenColumns = columns / step * step;
        if (step > 1)
        {
            for (int c0 = 0; c0 < evenColumns; c0 += ColumnBlock)
            {
                int end = Math.Min(c0 + ColumnBlock, evenColumns);
                for (int r = 0; r < evenRows; r += step)
                {
                    for (int c = c0; c < end; c += step)
                    {
                        T* from = source + r * sourceStride + c, to = destination + c * destinationStride + r;
                        if (sizeof(T) == 4)
                            Transpose4((float*)from, sourceStride, (float*)to, destinationStride);
                        else
                            Transpose2((double*)from, sourceStride, (double*)to, destinationStride);
                    }
                }
            }
        }
        else
        {
            evenRows = evenColumns = 0;
        }
        for (int r = 0; r < rows; r++)
        {
            for (int c = r < evenRows ? evenColumns : 0; c < columns; c++)
                destination[c * destinationStride + r] = source[r * sourceStride + c];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose4(float* source, nint sourceStride, float* destination, nint destinationStride)
    {
        Vector128<float> a = Vector128.Load(source), b = Vector128.Load(source + sourceStride);
        Vector128<float> c = Vector128.Load(source + 2 * sourceStride), d = Vector128.Load(source + 3 * sourceStride);
        Vector128<float> ab = Sse.UnpackLow(a, b), cd = Sse.UnpackLow(c, d), abHigh = Sse.UnpackHigh(a, b), cdHigh = Sse.UnpackHigh(c, d);
        Sse.MoveLowToHigh(ab, cd).Store(destination);
        Sse.MoveHighToLow(cd, ab).Store(destination + destinationStride);
        Sse.MoveLowToHigh(abHigh, cdHigh).Store(destination + 2 * destinationStride);
        Sse.MoveHighToLow(cdHigh, abHigh).Store(destination + 3 * destinationStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose2(double* source, nint sourceStride, double* destination, nint destinationStride)
    {
        Vector128<double> a = Vector128.Load(source), b = Vector128.Load(source + sourceStride);
        Sse2.UnpackLow(a, b).Store(destination);
        Sse2.UnpackHigh(a, b).Store(destination + destinationStride);
    }
}
