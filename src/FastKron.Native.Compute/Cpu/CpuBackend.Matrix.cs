using System.Numerics.Tensors;
using FastKron.Native.Compute.Tensors;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Compute.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <inheritdoc/>
    public void MatMul(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c, double alpha = 1, double beta = 0)
    {
        (int m, int k) = transposeA ? (a.Columns, a.Rows) : (a.Rows, a.Columns);
        int n = transposeB ? b.Rows : b.Columns;
        TensorArguments.RequirePrecisionOf(c, a);
        TensorArguments.RequirePrecisionOf(c, b);
        TensorArguments.RequireShape(b, transposeB ? n : k, transposeB ? k : n);
        TensorArguments.RequireShape(c, m, n);
        MatrixProduct.Multiply(this, new MatrixView(a, transposeA), new MatrixView(b, transposeB), c, alpha, beta, lowerOnly: false);
    }

    /// <inheritdoc/>
    public void SymmetricRankK(Tensor a, bool transposeA, Tensor c, double alpha = 1, double beta = 0)
    {
        TensorArguments.RequireSingleOrDouble(c);
        MatMul(a, transposeA, a, !transposeA, c, alpha, beta);
        double[] full = Dense(c, false);
        int n = c.Rows;
        for (int i = 0; i < n; i++)
        {
            for (int j = i + 1; j < n; j++)
                full[i * n + j] = full[j * n + i];
        }
        Store(full, c);
    }

    /// <inheritdoc/>
    public void Axpy(double alpha, Tensor x, Tensor y)
    {
        TensorArguments.RequireSingleOrDouble(y);
        TensorArguments.RequireType(x, y.Type);
        TensorArguments.RequireShape(x, y.Rows, y.Columns);
        For(y.Rows, row =>
        {
            if (y.Type == DType.F32)
                TensorPrimitives.MultiplyAdd(x.Row<float>(row), (float)alpha, y.Row<float>(row), y.Row<float>(row));
            else
                TensorPrimitives.MultiplyAdd(x.Row<double>(row), alpha, y.Row<double>(row), y.Row<double>(row));
        });
    }

    /// <inheritdoc/>
    public void Scale(double alpha, Tensor x)
    {
        TensorArguments.RequireSingleOrDouble(x);
        For(x.Rows, row =>
        {
            if (x.Type == DType.F32)
                TensorPrimitives.Multiply(x.Row<float>(row), (float)alpha, x.Row<float>(row));
            else
                TensorPrimitives.Multiply(x.Row<double>(row), alpha, x.Row<double>(row));
        });
    }

    /// <inheritdoc/>
    public double Dot(Tensor x, Tensor y)
    {
        TensorArguments.RequireFloating(x);
        TensorArguments.RequireFloating(y);
        TensorArguments.RequireShape(x, y.Rows, y.Columns);
        return TensorPrimitives.Dot<double>(Dense(x, false), Dense(y, false));
    }

    /// <inheritdoc/>
    public int Cholesky(Tensor a)
    {
        TensorArguments.RequireSingleOrDouble(a);
        TensorArguments.RequireSquare(a);
        int n = a.Rows;
        double[] l = Dense(a, false);
        for (int j = 0; j < n; j++)
        {
            ReadOnlySpan<double> left = l.AsSpan(j * n, j);
            double pivot = l[j * n + j] - TensorPrimitives.Dot<double>(left, left);
            if (!(pivot > 0 && double.IsFinite(pivot)))
                return j + 1;
            double root = l[j * n + j] = Math.Sqrt(pivot);
            for (int i = j + 1; i < n; i++)
            {
                l[i * n + j] = (l[i * n + j] - TensorPrimitives.Dot<double>(l.AsSpan(i * n, j), left)) / root;
                l[j * n + i] = 0;
            }
        }
        Store(l, a);
        return 0;
    }

    /// <inheritdoc/>
    public void TriangularInverse(Tensor l)
    {
        TensorArguments.RequireSingleOrDouble(l);
        TensorArguments.RequireSquare(l);
        int n = l.Rows;
        double[] lower = Dense(l, false), inverse = new double[n * n];
        for (int i = 0; i < n; i++)
        {
            Span<double> row = inverse.AsSpan(i * n, n);
            for (int j = 0; j < i; j++)
                TensorPrimitives.MultiplyAdd(inverse.AsSpan(j * n, n), -lower[i * n + j], row, row);
            row[i] = 1;
            TensorPrimitives.Divide(row, lower[i * n + i], row);
        }
        Store(inverse, l);
    }

    /// <inheritdoc/>
    public int BlockLdl(Tensor h, int block, Tensor l, Tensor d)
    {
        int n = h.Rows;
        TensorArguments.RequireType(h, DType.F64);
        TensorArguments.RequireSquare(h);
        if (block <= 0 || n % block != 0)
            throw new ArgumentException($"block: expected a divisor of {n}, found {block}", nameof(block));
        TensorArguments.RequireType(l, DType.F32);
        TensorArguments.RequireShape(l, n, n);
        TensorArguments.RequireType(d, DType.F64);
        TensorArguments.RequireShape(d, n, block);
        int failed = Cholesky(h);
        if (failed != 0)
            return failed;
        using Tensor inverse = Allocate(DType.F64, block, block);
        using Tensor product = Allocate(DType.F64, n, block);
        Fill(l, 0);
        for (int i = 0; i < n; i += block)
        {
            Tensor diagonal = h.Slice(i, block, i, block);
            MatMul(diagonal, false, diagonal, true, d.SliceRows(i, block));
            Convert(diagonal, inverse);
            TriangularInverse(inverse);
            if (i + block < n)
            {
                Tensor below = product.SliceRows(i + block, n - i - block);
                MatMul(h.Slice(i + block, n - i - block, i, block), false, inverse, false, below);
                Convert(below, l.Slice(i + block, n - i - block, i, block));
            }
        }
        return 0;
    }

    private static double[] Dense(Tensor x, bool transpose)
    {
        double[] values = new double[x.Rows * x.Columns];
        fixed (double* destination = values)
        {
            for (int row = 0; row < x.Rows; row++)
                ElementConversion.Convert(x.Type, Element(x, row, 0), DType.F64, destination + row * x.Columns, x.Columns);
        }
        if (!transpose)
            return values;
        double[] transposed = new double[values.Length];
        for (int row = 0; row < x.Rows; row++)
        {
            for (int column = 0; column < x.Columns; column++)
                transposed[column * x.Rows + row] = values[row * x.Columns + column];
        }
        return transposed;
    }

    private static void Store(double[] values, Tensor x)
    {
        fixed (double* source = values)
        {
            for (int row = 0; row < x.Rows; row++)
                ElementConversion.Convert(DType.F64, source + row * x.Columns, x.Type, Element(x, row, 0), x.Columns);
        }
    }
}
