using System.Numerics.Tensors;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Tests.Compute;

/// <summary>Inputs and outputs of a matrix operation in any floating type; each lies inside a wider tensor whose other columns must stay as they were.</summary>
internal sealed class MatrixOperands(IBackend backend) : IDisposable
{
    // A number that every floating type holds exactly.
    private const double Guard = 12288;
    private const int Left = 3, Right = 2;

    private readonly List<Tensor> _owners = [], _guarded = [];
    private ulong _seed = 1;

    /// <summary>A tensor of standard normal numbers, the same in every run, in a wider one.</summary>
    public Tensor Normal(DType type, int rows, int columns) => Holding(NormalValues(rows * columns), type, rows, columns);

    /// <summary>A tensor of the given numbers, rounded to the type, in a wider one.</summary>
    public Tensor Holding(double[] values, DType type, int rows, int columns)
    {
        Tensor tensor = Filled(type, rows, columns, 0);
        Write(values, tensor);
        return tensor;
    }

    /// <summary>A tensor of normal numbers without gaps between rows.</summary>
    public Tensor ContiguousNormal(DType type, int rows, int columns, double scale = 1) =>
        Contiguous(Array.ConvertAll(NormalValues(rows * columns), value => scale * value), type, rows, columns);

    /// <summary>A tensor of the given numbers, rounded to the type, without gaps between rows.</summary>
    public Tensor Contiguous(double[] values, DType type, int rows, int columns)
    {
        Tensor tensor = backend.Allocate(type, rows, columns);
        _owners.Add(tensor);
        Write(values, tensor);
        return tensor;
    }

    /// <summary>An output: NaN everywhere, so that an operation that reads it shows.</summary>
    public Tensor Output(DType type, int rows, int columns) => Filled(type, rows, columns, double.NaN);

    /// <summary>A column of integers to write to.</summary>
    public Tensor Integers(int rows)
    {
        Tensor tensor = backend.Allocate(DType.I32, rows, 1);
        _owners.Add(tensor);
        return tensor;
    }

    /// <summary>A well-conditioned symmetric positive-definite matrix: X Xᵀ / n + ½ I, X (n, n + 8) normal.</summary>
    public Tensor PositiveDefinite(DType type, int n)
    {
        double[] x = NormalValues(n * (n + 8)), h = new double[n * n];
        MatrixOperations.MatMul(x, false, x, true, n, n, n + 8, h, 1.0 / n);
        for (int i = 0; i < n; i++)
            h[i * n + i] += 0.5;
        return Holding(h, type, n, n);
    }

    /// <summary>A lower triangle with diagonal elements from 1 to 2 and small others.</summary>
    public Tensor LowerTriangle(DType type, int n)
    {
        double[] values = NormalValues(n * n);
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
                values[i * n + j] = j > i ? 0 : j == i ? 1.5 + 0.5 * Math.Tanh(values[i * n + i]) : values[i * n + j] / Math.Sqrt(n);
        }
        return Holding(values, type, n, n);
    }

    /// <summary>The elements, widened.</summary>
    public double[] Read(Tensor tensor) => Read(backend, tensor);

    /// <summary>The elements of a tensor of any floating type, widened.</summary>
    public static double[] Read(IBackend backend, Tensor tensor)
    {
        using Tensor wide = backend.Allocate(DType.F64, tensor.Rows, tensor.Columns);
        backend.Convert(tensor, wide);
        double[] values = new double[wide.Length];
        backend.Download<double>(wide, values);
        return values;
    }

    /// <summary>Largest difference relative to the root mean square of <paramref name="expected"/>; infinite if a NaN or a changed gap shows.</summary>
    public double Error(Tensor actual, double[] expected)
    {
        double[] values = Read(actual);
        double largest = 0, squares = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            double difference = Math.Abs(values[i] - expected[i]);
            largest = double.IsNaN(difference) ? double.PositiveInfinity : Math.Max(largest, difference);
            squares += expected[i] * expected[i];
        }
        if (!GapsIntact())
            return double.PositiveInfinity;
        return largest == 0 ? 0 : largest / Math.Sqrt(squares / expected.Length);
    }

    /// <summary>Norm of the difference relative to the norm of the expected elements; infinite if an element is not a number or a gap has changed.</summary>
    public double NormError(Tensor actual, double[] expected)
    {
        double[] values = Read(actual);
        double error = TensorPrimitives.Distance<double>(values, expected), norm = TensorPrimitives.Norm<double>(expected);
        return GapsIntact() && !double.IsNaN(error) ? error / norm : double.PositiveInfinity;
    }

    public void Dispose() => _owners.ForEach(owner => owner.Dispose());

    private double[] NormalValues(int count)
    {
        float[] values = new float[count];
        Philox.Normal(_seed++, RandomPurpose.Test, 0, values);
        return Array.ConvertAll(values, value => (double)value);
    }

    private Tensor Filled(DType type, int rows, int columns, double value)
    {
        Tensor owner = backend.Allocate(type, rows, Left + columns + Right);
        _owners.Add(owner);
        _guarded.Add(owner);
        backend.Fill(owner, Guard);
        Tensor tensor = owner.SliceColumns(Left, columns);
        backend.Fill(tensor, value);
        return tensor;
    }

    private void Write(double[] values, Tensor tensor)
    {
        using Tensor wide = backend.Allocate(DType.F64, tensor.Rows, tensor.Columns);
        backend.Upload<double>(values, wide);
        backend.Convert(wide, tensor);
    }

    private bool GapsIntact() => _guarded
        .SelectMany(owner => Read(owner.SliceColumns(0, Left)).Concat(Read(owner.SliceColumns(owner.Columns - Right, Right))))
        .All(value => value == Guard);
}
