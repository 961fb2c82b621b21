using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Copies a matrix into panels, the order in which <see cref="TileKernel{TShape, TSimd, TVector, T}"/> reads it.</summary>
internal static unsafe class PanelPacking<T>
    where T : unmanaged
{
    /// <summary>Columns converted and transposed at a time: long enough for the processor to see each row as a stream.</summary>
    private const int DepthBlock = 256;

    /// <summary>Most rows of one call, panels · width.</summary>
    public const int MaxRows = 64;

    private static DType Type => typeof(T) == typeof(double) ? DType.F64 : DType.F32;

    /// <summary>Element (i, p) of x goes to destination[i / width · panelStride + p · width + i mod width]; missing rows become 0.</summary>
    /// <param name="x">(rows, depth), at most panels · width rows; any floating type that T holds exactly.</param>
    /// <param name="width">Rows of a panel.</param>
    /// <param name="panels">Panels to fill.</param>
    /// <param name="destination">The panels.</param>
    /// <param name="panelStride">Elements from one panel to the next.</param>
    [SkipLocalsInit]
    public static void Pack(in MatrixView x, int width, int panels, T* destination, nint panelStride)
    {
        T* scratch = stackalloc T[Math.Max(width * DepthBlock, MaxRows)];
        if (x.IsTransposed)
            PackRuns(x, width, panels, destination, panelStride, scratch);
        else
            PackTransposed(x, width, panels, destination, panelStride, scratch);
        for (int panel = 0; panel < panels; panel++)
        {
            int filled = Math.Clamp(x.Rows - panel * width, 0, width);
            if (filled == width)
                continue;
            for (nint p = 0; p < x.Columns; p++)
                new Span<T>(destination + panel * panelStride + p * width + filled, width - filled).Clear();
        }
    }

    /// <summary>The rows of one p are adjacent in memory: pieces of a run go to the panels.</summary>
    private static void PackRuns(in MatrixView x, int width, int panels, T* destination, nint panelStride, T* scratch)
    {
        for (int p = 0; p < x.Columns; p++)
        {
            T* run = (T*)x.Address(0, p);
            if (x.Type != Type)
            {
                ElementConversion.Convert(x.Type, run, Type, scratch, x.Rows);
                run = scratch;
            }
            for (int panel = 0; panel < panels && panel * width < x.Rows; panel++)
            {
                int count = Math.Min(width, x.Rows - panel * width);
                Copy(run + panel * width, destination + panel * panelStride + (nint)p * width, count);
            }
        }
    }

    /// <summary>The p of one row are adjacent in memory.</summary>
    private static void PackTransposed(in MatrixView x, int width, int panels, T* destination, nint panelStride, T* scratch)
    {
        for (int p = 0; p < x.Columns; p += DepthBlock)
        {
            int depth = Math.Min(DepthBlock, x.Columns - p);
            for (int panel = 0; panel < panels && panel * width < x.Rows; panel++)
            {
                int first = panel * width, count = Math.Min(width, x.Rows - first);
                T* source = (T*)x.Address(first, p);
                nint stride = x.Stride;
                if (x.Type != Type)
                {
                    for (int i = 0; i < count; i++)
                        ElementConversion.Convert(x.Type, x.Address(first + i, p), Type, scratch + i * DepthBlock, depth);
                    source = scratch;
                    stride = DepthBlock;
                }
                Transposition.Transpose(source, stride, count, depth, destination + panel * panelStride + (nint)p * width, width);
            }
        }
    }

    /// <summary>Copies a short run; inline, because a call costs more than the copy.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Copy(T* source, T* destination, int count)
    {
        int i = 0;
        for (; i <= count - Vector128<T>.Count; i += Vector128<T>.Count)
            Vector128.Load(source + i).Store(destination + i);
        for (; i < count; i++)
            destination[i] = source[i];
    }
}
