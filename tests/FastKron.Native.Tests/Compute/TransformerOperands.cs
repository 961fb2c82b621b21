using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Tests.Compute;

/// <summary>Inputs and outputs of one operation: each lies inside a larger tensor, so that rows have gaps, which must stay as they were.</summary>
/// <param name="backend">Where they are.</param>
/// <param name="activations">F32 or BF16.</param>
/// <param name="aligned">Whether rows begin at multiples of 16 bytes.</param>
internal sealed class TransformerOperands(IBackend backend, DType activations = DType.F32, bool aligned = false) : IDisposable
{
    // A BF16 number too.
    private const float Guard = 12352f;

    private int Left => aligned ? 8 : 1;

    // Aligned: as many columns as bring the next row to a multiple of 8.
    private int Right(int columns) => aligned ? 16 - columns % 8 : 2;

    private readonly List<(Tensor Owner, int Columns)> _owners = [];
    private ulong _seed = 1;

    /// <summary>Normal numbers, the same in every run, rounded to the type of the activations.</summary>
    public double[] Normal(int count, double deviation = 1)
    {
        float[] values = new float[count];
        Philox.Normal(_seed++, RandomPurpose.Test, 0, values);
        return Array.ConvertAll(values, value => Round(value * deviation));
    }

    /// <summary>The nearest number of the type of the activations.</summary>
    public double Round(double value) => activations == DType.BF16 ? BFloat16.FromSingle((float)value).ToSingle() : (float)value;

    /// <summary>Activations that hold <paramref name="values"/>.</summary>
    public Tensor Matrix(double[] values, int rows, int columns) => Filled(activations, values, rows, columns);

    /// <summary>An F32 tensor that holds <paramref name="values"/>.</summary>
    public Tensor Statistics(double[] values, int rows, int columns) => Filled(DType.F32, values, rows, columns);

    /// <summary>Activations filled with the guard.</summary>
    public Tensor Output(int rows, int columns) => Guarded(activations, rows, columns);

    /// <summary>An F32 tensor filled with the guard.</summary>
    public Tensor StatisticsOutput(int rows, int columns) => Guarded(DType.F32, rows, columns);

    /// <summary>A (1, n) I32 tensor.</summary>
    public Tensor Indices(params int[] values)
    {
        Tensor tensor = backend.Allocate(DType.I32, 1, values.Length);
        backend.Upload<int>(values, tensor);
        _owners.Add((tensor, -1));
        return tensor;
    }

    /// <summary>The elements of an F32 or BF16 tensor.</summary>
    public double[] Read(Tensor tensor)
    {
        if (tensor.Type == DType.BF16)
        {
            var narrow = new BFloat16[tensor.Length];
            backend.Download<BFloat16>(tensor, narrow);
            return Array.ConvertAll(narrow, value => (double)value.ToSingle());
        }
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

    /// <summary>
    /// Largest difference relative to the root mean square of <paramref name="expected"/>; infinite if NaN stands where no NaN should, or a gap changed.
    /// What the rounding of a BF16 result can account for, half an ulp, is taken off first, and the rest is relative to the number itself where that is larger.
    /// </summary>
    public double Error(Tensor actual, double[] expected)
    {
        double[] values = Read(actual);
        double rms = Math.Sqrt(expected.Sum(value => double.IsFinite(value) ? value * value : 0) / Math.Max(1, expected.Length)), largest = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            if (values[i] == expected[i])
                continue;
            double error = Math.Abs(values[i] - expected[i]) / rms;
            if (actual.Type == DType.BF16)
                error = Math.Max(0, Math.Abs(values[i] - expected[i]) - HalfUlp(values[i])) / Math.Max(rms, Math.Abs(expected[i]));
            largest = double.IsNaN(error) ? double.PositiveInfinity : Math.Max(largest, error);
        }
        return GapsIntact() ? largest : double.PositiveInfinity;
    }

    /// <summary>Whether the columns beside every operand still hold the guard.</summary>
    public bool GapsIntact()
    {
        foreach (var (owner, columns) in _owners)
        {
            if (columns < 0)
                continue;
            double[] left = Read(owner.SliceColumns(0, Left)), right = Read(owner.SliceColumns(Left + columns, Right(columns)));
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

    /// <summary>Half the distance between the BF16 numbers around a value: they have 8 significant bits.</summary>
    private static double HalfUlp(double value) => double.IsFinite(value) && value != 0 ? Math.ScaleB(1, Math.ILogB(value) - 8) : 0;

    private Tensor Filled(DType type, double[] values, int rows, int columns)
    {
        Tensor tensor = Guarded(type, rows, columns);
        if (type == DType.BF16)
            backend.Upload<BFloat16>(Array.ConvertAll(values, ElementConversion.ToBFloat16), tensor);
        else
            backend.Upload<float>(Array.ConvertAll(values, value => (float)value), tensor);
        return tensor;
    }

    private Tensor Guarded(DType type, int rows, int columns)
    {
        Tensor owner = backend.Allocate(type, rows, Left + columns + Right(columns));
        backend.Fill(owner, Guard);
        _owners.Add((owner, columns));
        return owner.SliceColumns(Left, columns);
    }
}
