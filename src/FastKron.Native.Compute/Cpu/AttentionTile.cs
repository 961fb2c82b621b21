using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Products of the small matrices that attention is made of, all of them in cache, and the packing of their operands.</summary>
internal static unsafe class AttentionTile
{
    /// <summary>Rows of a product must be a multiple of this: rows held in registers at a time.</summary>
    public const int RowStep = 8;

    /// <summary>Columns of a product must be a multiple of this: one AVX-512 register.</summary>
    public const int ColumnStep = 16;

    /// <summary>c ← (accumulate ? c : 0) + a · b.</summary>
    /// <param name="a">(rows, depth): element (i, k) at i·aRow + k·aStep, so that a transposed matrix needs no copy.</param>
    /// <param name="aRow">Elements from one row of a to the next.</param>
    /// <param name="aStep">Elements from one column of a to the next.</param>
    /// <param name="b">(depth, columns), rows bStride elements apart.</param>
    /// <param name="bStride">Elements from one row of b to the next.</param>
    /// <param name="c">(rows, columns), rows cStride elements apart.</param>
    /// <param name="cStride">Elements from one row of c to the next.</param>
    /// <param name="rows">A multiple of <see cref="RowStep"/>.</param>
    /// <param name="columns">A multiple of <see cref="ColumnStep"/>.</param>
    /// <param name="depth">Any number.</param>
    /// <param name="accumulate">Whether the old c is kept.</param>
    public static void Multiply(
        float* a, nint aRow, nint aStep, float* b, nint bStride, float* c, nint cStride, int rows, int columns, int depth, bool accumulate)
    {
        for (int i = 0; i < rows; i += RowStep, a += RowStep * aRow, c += RowStep * cStride)
        {
            int j = 0;
            if (Vector512.IsHardwareAccelerated)
            {
                for (; j <= columns - 32; j += 32)
                    Multiply8x32(a, aRow, aStep, b + j, bStride, c + j, cStride, depth, accumulate);
                for (; j < columns; j += 16)
                    Multiply8x16(a, aRow, aStep, b + j, bStride, c + j, cStride, depth, accumulate);
            }
            else
            {
                for (; j < columns; j += 16)
                {
                    Multiply4x16(a, aRow, aStep, b + j, bStride, c + j, cStride, depth, accumulate);
                    Multiply4x16(a + 4 * aRow, aRow, aStep, b + j, bStride, c + j + 4 * cStride, cStride, depth, accumulate);
                }
            }
        }
    }

    /// <summary>Smallest multiple of <paramref name="step"/>, a power of two, that is not below <paramref name="count"/>.</summary>
    public static int RoundUp(int count, int step) => (count + step - 1) & -step;

    /// <summary>destination ← scale · source for rows of <paramref name="width"/> elements; further columns and rows of destination become 0.</summary>
    /// <param name="source">(rows, width), rows sourceStride elements apart.</param>
    /// <param name="sourceStride">Elements from one row to the next.</param>
    /// <param name="rows">Rows of source.</param>
    /// <param name="width">Columns of source.</param>
    /// <param name="scale">Factor.</param>
    /// <param name="destination">(paddedRows, paddedWidth), without gaps.</param>
    /// <param name="paddedRows">At least rows.</param>
    /// <param name="paddedWidth">At least width.</param>
    public static void Pack(
        float* source, nint sourceStride, int rows, int width, float scale, float* destination, int paddedRows, int paddedWidth)
    {
        for (int i = 0; i < rows; i++, source += sourceStride, destination += paddedWidth)
        {
            TensorPrimitives.Multiply(new ReadOnlySpan<float>(source, width), scale, new Span<float>(destination, width));
            new Span<float>(destination + width, paddedWidth - width).Clear();
        }
        new Span<float>(destination, (paddedRows - rows) * paddedWidth).Clear();
    }

    /// <summary>destination ← sourceᵀ.</summary>
    /// <param name="source">(rows, columns), rows sourceStride elements apart.</param>
    /// <param name="sourceStride">Elements from one row to the next.</param>
    /// <param name="rows">Rows of source.</param>
    /// <param name="columns">Columns of source.</param>
    /// <param name="destination">(columns, rows), rows destinationStride elements apart.</param>
    /// <param name="destinationStride">Elements from one row to the next.</param>
    public static void Transpose(float* source, nint sourceStride, int rows, int columns, float* destination, nint destinationStride)
    {
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
                destination[j * destinationStride + i] = source[i * sourceStride + j];
        }
    }

    private static void Multiply8x32(
        float* a, nint aRow, nint aStep, float* b, nint bStride, float* c, nint cStride, int depth, bool accumulate)
    {
        Vector512<float> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        Vector512<float> c40 = default, c41 = default, c50 = default, c51 = default, c60 = default, c61 = default, c70 = default, c71 = default;
        float* a4 = a + 4 * aRow;
        nint row2 = 2 * aRow, row3 = 3 * aRow;
        for (int k = 0; k < depth; k++, a += aStep, a4 += aStep, b += bStride)
        {
            Vector512<float> b0 = Vector512.Load(b), b1 = Vector512.Load(b + 16);
            Update(ref c00, ref c01, a[0], b0, b1);
            Update(ref c10, ref c11, a[aRow], b0, b1);
            Update(ref c20, ref c21, a[row2], b0, b1);
            Update(ref c30, ref c31, a[row3], b0, b1);
            Update(ref c40, ref c41, a4[0], b0, b1);
            Update(ref c50, ref c51, a4[aRow], b0, b1);
            Update(ref c60, ref c61, a4[row2], b0, b1);
            Update(ref c70, ref c71, a4[row3], b0, b1);
        }
        Store(c00, c01, c, accumulate);
        Store(c10, c11, c + cStride, accumulate);
        Store(c20, c21, c + 2 * cStride, accumulate);
        Store(c30, c31, c + 3 * cStride, accumulate);
        Store(c40, c41, c + 4 * cStride, accumulate);
        Store(c50, c51, c + 5 * cStride, accumulate);
        Store(c60, c61, c + 6 * cStride, accumulate);
        Store(c70, c71, c + 7 * cStride, accumulate);
    }

    private static void Multiply8x16(
        float* a, nint aRow, nint aStep, float* b, nint bStride, float* c, nint cStride, int depth, bool accumulate)
    {
        Vector512<float> c0 = default, c1 = default, c2 = default, c3 = default, c4 = default, c5 = default, c6 = default, c7 = default;
        float* a4 = a + 4 * aRow;
        nint row2 = 2 * aRow, row3 = 3 * aRow;
        for (int k = 0; k < depth; k++, a += aStep, a4 += aStep, b += bStride)
        {
            Vector512<float> b0 = Vector512.Load(b);
            c0 = Vector512.FusedMultiplyAdd(Vector512.Create(a[0]), b0, c0);
            c1 = Vector512.FusedMultiplyAdd(Vector512.Create(a[aRow]), b0, c1);
            c2 = Vector512.FusedMultiplyAdd(Vector512.Create(a[row2]), b0, c2);
            c3 = Vector512.FusedMultiplyAdd(Vector512.Create(a[row3]), b0, c3);
            c4 = Vector512.FusedMultiplyAdd(Vector512.Create(a4[0]), b0, c4);
            c5 = Vector512.FusedMultiplyAdd(Vector512.Create(a4[aRow]), b0, c5);
            c6 = Vector512.FusedMultiplyAdd(Vector512.Create(a4[row2]), b0, c6);
            c7 = Vector512.FusedMultiplyAdd(Vector512.Create(a4[row3]), b0, c7);
        }
        Store(c0, c, accumulate);
        Store(c1, c + cStride, accumulate);
        Store(c2, c + 2 * cStride, accumulate);
        Store(c3, c + 3 * cStride, accumulate);
        Store(c4, c + 4 * cStride, accumulate);
        Store(c5, c + 5 * cStride, accumulate);
        Store(c6, c + 6 * cStride, accumulate);
        Store(c7, c + 7 * cStride, accumulate);
    }

    private static void Multiply4x16(
        float* a, nint aRow, nint aStep, float* b, nint bStride, float* c, nint cStride, int depth, bool accumulate)
    {
        Vector256<float> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        nint row2 = 2 * aRow, row3 = 3 * aRow;
        for (int k = 0; k < depth; k++, a += aStep, b += bStride)
        {
            Vector256<float> b0 = Vector256.Load(b), b1 = Vector256.Load(b + 8);
            Update(ref c00, ref c01, a[0], b0, b1);
            Update(ref c10, ref c11, a[aRow], b0, b1);
            Update(ref c20, ref c21, a[row2], b0, b1);
            Update(ref c30, ref c31, a[row3], b0, b1);
        }
        Store(c00, c01, c, accumulate);
        Store(c10, c11, c + cStride, accumulate);
        Store(c20, c21, c + 2 * cStride, accumulate);
        Store(c30, c31, c + 3 * cStride, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Update(ref Vector512<float> c0, ref Vector512<float> c1, float a, Vector512<float> b0, Vector512<float> b1)
    {
        Vector512<float> factor = Vector512.Create(a);
        c0 = Vector512.FusedMultiplyAdd(factor, b0, c0);
        c1 = Vector512.FusedMultiplyAdd(factor, b1, c1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Update(ref Vector256<float> c0, ref Vector256<float> c1, float a, Vector256<float> b0, Vector256<float> b1)
    {
        Vector256<float> factor = Vector256.Create(a);
        c0 = Vector256.MultiplyAddEstimate(factor, b0, c0);
        c1 = Vector256.MultiplyAddEstimate(factor, b1, c1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector512<float> c0, Vector512<float> c1, float* c, bool accumulate)
    {
        Store(c0, c, accumulate);
        Store(c1, c + 16, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector512<float> value, float* c, bool accumulate) => (accumulate ? Vector512.Load(c) + value : value).Store(c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector256<float> c0, Vector256<float> c1, float* c, bool accumulate)
    {
        (accumulate ? Vector256.Load(c) + c0 : c0).Store(c);
        (accumulate ? Vector256.Load(c + 8) + c1 : c1).Store(c + 8);
    }
}
