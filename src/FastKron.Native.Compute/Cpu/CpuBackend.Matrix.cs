using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using FastKron.Native.Compute.Tensors;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Compute.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <summary>Elements converted to float64 at a time by <see cref="Dot"/>.</summary>
    private const int DotChunk = 512;

    /// <summary>Rows and columns of the squares in which a triangle is mirrored.</summary>
    private const int MirrorBlock = 64;

    /// <inheritdoc/>
    public void MatMul(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c, double alpha = 1, double beta = 0)
    {
        MatrixArguments.MatMul(onHost: true, a, transposeA, b, transposeB, c);
        MatrixProduct.Multiply(this, new MatrixView(a, transposeA), new MatrixView(b, transposeB), c, alpha, beta, ProductStructure.General);
    }

    /// <inheritdoc/>
    public void SymmetricRankK(Tensor a, bool transposeA, Tensor c, double alpha = 1, double beta = 0)
    {
        MatrixArguments.SymmetricRankK(onHost: true, a, transposeA, c);
        var view = new MatrixView(a, transposeA);
        MatrixProduct.Multiply(this, view, view.Transpose(), c, alpha, beta, ProductStructure.LowerResult);
        MirrorLowerTriangle(c);
    }

    /// <inheritdoc/>
    public void SymmetricProduct(Tensor a, Tensor b, Tensor c, double alpha = 1, double beta = 0)
    {
        MatrixArguments.SymmetricProduct(onHost: true, a, b, c);
        MatrixProduct.Multiply(this, new MatrixView(a, true), new MatrixView(b, false), c, alpha, beta, ProductStructure.LowerResult);
        MirrorLowerTriangle(c);
    }

    /// <inheritdoc/>
    public void Axpy(double alpha, Tensor x, Tensor y)
    {
        MatrixArguments.Axpy(onHost: true, x, y);
        var pieces = new ElementPieces(x, y);
        For(pieces.Length, pieces.Count, index =>
        {
            int count = pieces.Get(index, out void* from, out void* to);
            if (y.Type == DType.F32)
                Axpy((float)alpha, (float*)from, (float*)to, count);
            else
                Axpy(alpha, (double*)from, (double*)to, count);
        });
    }

    /// <inheritdoc/>
    public void Multiply(Tensor x, Tensor y)
    {
        MatrixArguments.Multiply(onHost: true, x, y);
        var pieces = new ElementPieces(x, y);
        For(pieces.Length, pieces.Count, index =>
        {
            int count = pieces.Get(index, out void* from, out void* to);
            var products = new Span<float>(to, count);
            TensorPrimitives.Multiply(new ReadOnlySpan<float>(from, count), products, products);
        });
    }

    /// <inheritdoc/>
    public void Scale(double alpha, Tensor x)
    {
        MatrixArguments.Scale(onHost: true, x);
        var pieces = new ElementPieces(x, x);
        For(pieces.Length, pieces.Count, index =>
        {
            int count = pieces.Get(index, out _, out void* to);
            if (x.Type == DType.F32)
                TensorPrimitives.Multiply(new ReadOnlySpan<float>(to, count), (float)alpha, new Span<float>(to, count));
            else
                TensorPrimitives.Multiply(new ReadOnlySpan<double>(to, count), alpha, new Span<double>(to, count));
        });
    }

    /// <inheritdoc/>
    public double Dot(Tensor x, Tensor y)
    {
        MatrixArguments.Dot(onHost: true, x, y);
        var pieces = new ElementPieces(x, y);
        double[] sums = new double[pieces.Count];
        For(pieces.Length, pieces.Count, index => sums[index] = DotPiece(x.Type, y.Type, pieces, index));

        // One after the other, so that the order is the same for any number of threads.
        double sum = 0;
        foreach (double part in sums)
            sum += part;
        return sum;
    }

    /// <inheritdoc/>
    public double Orthogonalize(IReadOnlyList<Tensor> basis, Tensor x)
    {
        MatrixArguments.Orthogonalize(onHost: true, basis, x);
        double[] coefficients = new double[basis.Count];
        for (int pass = 0; pass < 2; pass++)
        {
            for (int i = 0; i < coefficients.Length; i++)
                coefficients[i] = Dot(basis[i], x);
            for (int i = 0; i < coefficients.Length; i++)
                Axpy(-coefficients[i], basis[i], x);
        }
        return Math.Sqrt(Dot(x, x));
    }

    /// <inheritdoc/>
    public void InverseRoots(Tensor h, Tensor logDeterminants, Tensor failures)
    {
        MatrixArguments.InverseRoots(onHost: true, h, logDeterminants, failures);
        int n = h.Columns;
        for (int matrix = 0; matrix < failures.Rows; matrix++)
        {
            Tensor one = h.SliceRows(matrix * n, n);
            int failed = TriangularFactors.Cholesky(this, one);
            double logarithm = 0;
            for (int i = 0; i < n && failed == 0; i++)
                logarithm += 2 * Math.Log(one.Row<double>(i)[i]);
            if (failed == 0)
                TriangularFactors.Invert(this, one);
            failures.Row<int>(matrix)[0] = failed;
            logDeterminants.Row<double>(matrix)[0] = logarithm;
        }
    }

    /// <inheritdoc/>
    public void BlockLdl(Tensor h, int block, Tensor l, Tensor d, Tensor failures)
    {
        MatrixArguments.BlockLdl(onHost: true, h, block, l, d, failures);
        int n = h.Columns;
        for (int matrix = 0; matrix < failures.Rows; matrix++)
        {
            Tensor one = h.SliceRows(matrix * n, n);
            int failed = TriangularFactors.Cholesky(this, one);
            if (failed == 0)
                TriangularFactors.BlockLdl(this, one, block, l.SliceRows(matrix * n, n), d.SliceRows(matrix * n, n));
            failures.Row<int>(matrix)[0] = failed;
        }
    }

    /// <summary>Makes a square matrix symmetric by copying what is below the diagonal to above it.</summary>
    internal void MirrorLowerTriangle(Tensor c)
    {
        int blocks = (c.Rows + MirrorBlock - 1) / MirrorBlock;
        if (c.Type == DType.F32)
            For(c.Length, blocks, block => MirrorRows<float>(c, block));
        else
            For(c.Length, blocks, block => MirrorRows<double>(c, block));
    }

    private static void MirrorRows<T>(Tensor c, int block)
        where T : unmanaged
    {
        T* start = (T*)c.Address;
        int row = block * MirrorBlock, rows = Math.Min(MirrorBlock, c.Rows - row);
        for (int column = 0; column < row; column += MirrorBlock)
            Transposition.Transpose(start + row * c.Stride + column, c.Stride, rows, MirrorBlock, start + column * c.Stride + row, c.Stride);
        for (int i = row; i < row + rows; i++)
        {
            for (int j = row; j < i; j++)
                start[j * c.Stride + i] = start[i * c.Stride + j];
        }
    }

    private static void Axpy<T>(T alpha, T* x, T* y, int count)
        where T : unmanaged, INumberBase<T>
    {
        var sums = new Span<T>(y, count);
        TensorPrimitives.MultiplyAdd(new ReadOnlySpan<T>(x, count), alpha, sums, sums);
    }

    [SkipLocalsInit]
    private static double DotPiece(DType typeX, DType typeY, in ElementPieces pieces, int index)
    {
        double* wideX = stackalloc double[DotChunk];
        double* wideY = stackalloc double[DotChunk];
        int count = pieces.Get(index, out void* x, out void* y);
        double sum = 0;
        for (int start = 0; start < count; start += DotChunk)
        {
            int length = Math.Min(DotChunk, count - start);
            ElementConversion.Convert(typeX, (byte*)x + start * typeX.Size(), DType.F64, wideX, length);
            ElementConversion.Convert(typeY, (byte*)y + start * typeY.Size(), DType.F64, wideY, length);
            sum += TensorPrimitives.Dot(new ReadOnlySpan<double>(wideX, length), new ReadOnlySpan<double>(wideY, length));
        }
        return sum;
    }
}
