using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Tests.Rounding;

/// <summary>A small float64 matrix with the plain products that tests compare against, and the random matrices that they start from.</summary>
internal sealed class DenseMatrix(int rows, int columns)
{
    private readonly double[] _values = new double[rows * columns];

    public int Rows => rows;

    public int Columns => columns;

    public DenseMatrix Transposed => From(columns, rows, (i, j) => this[j, i]);

    public double SquaredNorm => _values.Sum(v => v * v);

    public ref double this[int row, int column] => ref _values[row * columns + column];

    public static DenseMatrix From(int rows, int columns, Func<int, int, double> entry)
    {
        var result = new DenseMatrix(rows, columns);
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
                result[i, j] = entry(i, j);
        }
        return result;
    }

    public static DenseMatrix Identity(int size) => From(size, size, (i, j) => i == j ? 1 : 0);

    /// <summary>Matrices of one shape above each other.</summary>
    public static DenseMatrix Stack(params DenseMatrix[] matrices) =>
        From(matrices.Length * matrices[0].Rows, matrices[0].Columns, (i, j) => matrices[i / matrices[0].Rows][i % matrices[0].Rows, j]);

    /// <summary>The inverse of <see cref="Stack"/>.</summary>
    public DenseMatrix[] Split(int count) => [.. Enumerable.Range(0, count).Select(b => From(rows / count, columns, (i, j) => this[b * (rows / count) + i, j]))];

    /// <summary>Standard normal float32 numbers.</summary>
    public static DenseMatrix Normal(int rows, int columns, uint seed)
    {
        float[] values = new float[rows * columns];
        Philox.Normal(seed, RandomPurpose.Test, item: 0, values);
        return From(rows, columns, (i, j) => values[i * columns + j]);
    }

    /// <summary>Normal numbers rounded to multiples of 1/16: sums and products of few of them are exact in float32.</summary>
    public static DenseMatrix Dyadic(int rows, int columns, uint seed)
    {
        DenseMatrix normal = Normal(rows, columns, seed);
        return From(rows, columns, (i, j) => Math.Round(normal[i, j] * 16) / 16);
    }

    /// <summary>A strictly block-lower matrix of −1/8, 0 (three of four) and 1/8: small enough that errors do not grow, exact in float32.</summary>
    public static DenseMatrix DyadicLower(int size, uint seed) => From(size, size, (i, j) =>
    {
        uint word = Philox.Word(seed, (ulong)(i * size + j), RandomPurpose.Test, item: 1);
        return i / 16 > j / 16 && word % 4 == 0 ? (word / 4 % 2 == 0 ? 0.125 : -0.125) : 0;
    });

    /// <summary>A covariance with a decaying spectrum in a random basis, mean diagonal near 1, exactly symmetric, float32 entries.</summary>
    public static DenseMatrix Covariance(int size, uint seed)
    {
        DenseMatrix z = Normal(size, size, seed);
        DenseMatrix scaled = From(size, size, (i, k) => z[i, k] / Math.Sqrt(1 + k));
        DenseMatrix product = scaled * scaled.Transposed;
        double mean = Enumerable.Range(0, size).Average(i => product[i, i]);
        return From(size, size, (i, j) => (float)(product[Math.Max(i, j), Math.Min(i, j)] / mean));
    }

    /// <summary>Downloads an F32 or F64 tensor.</summary>
    public static DenseMatrix Download(IBackend backend, Tensor tensor)
    {
        double[] values = new double[tensor.Length];
        if (tensor.Type == DType.F64)
        {
            backend.Download<double>(tensor, values);
        }
        else
        {
            float[] single = new float[tensor.Length];
            backend.Download<float>(tensor, single);
            values = Array.ConvertAll(single, v => (double)v);
        }
        return From(tensor.Rows, tensor.Columns, (i, j) => values[i * tensor.Columns + j]);
    }

    public Tensor Upload(IBackend backend, DType type = DType.F32)
    {
        Tensor tensor = backend.Allocate(type, rows, columns);
        if (type == DType.F64)
            backend.Upload<double>(_values, tensor);
        else
            backend.Upload<float>(Array.ConvertAll(_values, v => (float)v), tensor);
        return tensor;
    }

    public static DenseMatrix operator *(DenseMatrix a, DenseMatrix b)
    {
        var result = new DenseMatrix(a.Rows, b.Columns);
        for (int i = 0; i < a.Rows; i++)
        {
            for (int k = 0; k < a.Columns; k++)
            {
                double factor = a[i, k];
                for (int j = 0; j < b.Columns && factor != 0; j++)
                    result[i, j] += factor * b[k, j];
            }
        }
        return result;
    }

    public static DenseMatrix operator +(DenseMatrix a, DenseMatrix b) => From(a.Rows, a.Columns, (i, j) => a[i, j] + b[i, j]);

    public static DenseMatrix operator -(DenseMatrix a, DenseMatrix b) => From(a.Rows, a.Columns, (i, j) => a[i, j] - b[i, j]);

    public static DenseMatrix operator *(double factor, DenseMatrix a) => From(a.Rows, a.Columns, (i, j) => factor * a[i, j]);

    /// <summary>tr(E B Eᵀ A).</summary>
    public static double Loss(DenseMatrix e, DenseMatrix a, DenseMatrix b)
    {
        DenseMatrix ae = a * e, eb = e * b;
        double sum = 0;
        for (int i = 0; i < e.Rows; i++)
        {
            for (int j = 0; j < e.Columns; j++)
                sum += ae[i, j] * eb[i, j];
        }
        return sum;
    }

    /// <summary>Largest absolute difference.</summary>
    public static double Distance(DenseMatrix a, DenseMatrix b) => a._values.Zip(b._values, (x, y) => Math.Abs(x - y)).Max();

    /// <summary>Whether every entry has the same value.</summary>
    public bool Same(DenseMatrix other) => rows == other.Rows && columns == other.Columns && _values.AsSpan().SequenceEqual(other._values);
}
