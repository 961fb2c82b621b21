using System.Globalization;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Fisher;

/// <summary>Lower triangles of symmetric matrices, packed by rows: (0,0), (1,0), (1,1), …</summary>
internal static class PackedTriangle
{
    /// <summary>n(n + 1)/2.</summary>
    public static long Length(long size) => size * (size + 1) / 2;

    /// <summary>Reads a triangle of little-endian float32 into a full symmetric matrix.</summary>
    /// <param name="values">Length(size) numbers.</param>
    /// <param name="size">n.</param>
    /// <param name="path">For messages.</param>
    /// <param name="name">For messages.</param>
    /// <returns>(n, n) F32 on the host, which the caller disposes, and the mean of its diagonal.</returns>
    /// <exception cref="InvalidDataException">A number is not finite.</exception>
    public static (Tensor Matrix, double MeanDiagonal) Read(Stream values, int size, string path, string name)
    {
        Tensor matrix = Tensor.AllocateHost(DType.F32, size, size);
        try
        {
            double trace = 0;
            for (int i = 0; i < size; i++)
            {
                Span<float> row = matrix.Row<float>(i)[..(i + 1)];
                values.ReadExactly(MemoryMarshal.AsBytes(row));
                if (!TensorPrimitives.IsFiniteAll<float>(row))
                {
                    for (int j = 0; j <= i; j++)
                        RequireFinite(row[j], path, name, i, j);
                }
                trace += row[i];
            }
            Mirror(matrix);
            return (matrix, trace / size);
        }
        catch
        {
            matrix.Dispose();
            throw;
        }
    }

    // In squares that a first-level cache holds: along a column every element lies on another page.
    private static void Mirror(Tensor matrix)
    {
        const int Square = 64;
        int size = matrix.Rows;
        Parallel.For(0, (size + Square - 1) / Square, band =>
        {
            int top = band * Square, bottom = Math.Min(top + Square, size);
            for (int left = top; left < size; left += Square)
            {
                int right = Math.Min(left + Square, size);
                for (int i = top; i < bottom; i++)
                {
                    Span<float> row = matrix.Row<float>(i);
                    for (int j = Math.Max(left, i + 1); j < right; j++)
                        row[j] = matrix.Row<float>(j)[i];
                }
            }
        });
    }

    /// <summary>Throws unless an element is finite.</summary>
    public static void RequireFinite(float value, string path, string name, int row, int column)
    {
        if (!float.IsFinite(value))
            throw MalformedFile.In(path, $"{name} ({row}, {column})", value.ToString(CultureInfo.InvariantCulture), "a finite number", "the factors are damaged: make or copy them again");
    }
}
