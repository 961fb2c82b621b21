using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Tests.Compute;

/// <summary>Inputs and outputs of one operation: each lies inside a larger tensor, so that rows have gaps, which must stay as they were.</summary>
internal sealed class TransformerOperands(IBackend backend) : IDisposable
{
    private const float Guard = 12345f;
    private const int Left = 1, Right = 2;

    private readonly List<(Tensor Owner, int Columns)> _owners = [];
    private ulong _seed = 1;

    /// <summary>Normal numbers, the same in every run, rounded to float32.</summary>
    public double[] Normal(int count, double deviation = 1)
    {
        float[] values = new float[count];
        Philox.Normal(_seed++, RandomPurpose.Test, 0, values);
        return Array.ConvertAll(values, value => (double)(float)(value * deviation));
    }

    /// <summary>An F32 tensor that holds <paramref name="values"/>.</summary>
    public Tensor Matrix(double[] values, int rows, int columns)
    {
        Tensor tensor = Output(rows, columns);
        backend.Upload<float>(Array.ConvertAll(values, value => (float)value), tensor);
        return tensor;
    }

    /// <summary>An F32 tensor filled with the guard.</summary>
    public Tensor Output(int rows, int columns)
    {
        Tensor owner = backend.Allocate(DType.F32, rows, Left + columns + Right);
        backend.Fill(owner, Guard);
        _owners.Add((owner, columns));
        return owner.SliceColumns(Left, columns);
    }

    /// <summary>A (1, n) I32 tensor.</summary>
    public Tensor Indices(params int[] values)
    {
        Tensor tensor = backend.Allocate(DType.I32, 1, values.Length);
        backend.Upload<int>(values, tensor);
        _owners.Add((tensor, -1));
        return tensor;
    }

    /// <summary>The elements of an F32 tensor.</summary>
    public double[] Read(Tensor tensor)
    {
        float[] values = new float[tensor.Length];
        backend.Download<float>(tensor, values);
        return Array.ConvertAll(values, value => (double)value);
    }

    /// <summary>The elements of an I32 tensor.</summary>
    public int[] ReadIndices(Tensor tensor)
    {
        int[] values = new int[tensor.Length];
        backend.Download<int>(tensor, values);
        return values;
    }

    /// <summary>Largest difference relative to the root mean square of <paramref name="expected"/>; infinite if NaN stands where no NaN should, or a gap changed.</summary>
    public double Error(Tensor actual, double[] expected)
    {
        double[] values = Read(actual);
        double largest = 0, squares = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            double difference = values[i] == expected[i] ? 0 : Math.Abs(values[i] - expected[i]);
            largest = double.IsNaN(difference) ? double.PositiveInfinity : Math.Max(largest, difference);
            squares += double.IsFinite(expected[i]) ? expected[i] * expected[i] : 0;
        }
        double rms = Math.Sqrt(squares / Math.Max(1, expected.Length));
        return GapsIntact() ? (largest == 0 ? 0 : largest / rms) : double.PositiveInfinity;
    }

    /// <summary>Whether the columns beside every operand still hold the guard.</summary>
    public bool GapsIntact()
    {
        foreach (var (owner, columns) in _owners)
        {
            if (columns < 0)
                continue;
            double[] left = Read(owner.SliceColumns(0, Left)), right = Read(owner.SliceColumns(Left + columns, Right));
            if (left.Concat(right).Any(value => value != Guard))
                return false;
        }
        return true;
    }

    public void Dispose()
    {
        foreach (var (owner, _) in _owners)
            owner.Dispose();
    }
}
