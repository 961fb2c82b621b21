using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;

namespace FastKron.Native.Tests.Fisher;

/// <summary>Small dense matrices in float64 for tests: plain loops, no backend.</summary>
internal static class Dense
{
    public static double[,] Normal(int rows, int columns, uint item)
    {
        float[] values = new float[rows * columns];
        Philox.Normal(7, RandomPurpose.Test, item, values);
        var a = new double[rows, columns];
        for (int i = 0; i < values.Length; i++)
            a[i / columns, i % columns] = values[i];
        return a;
    }

    /// <summary>Q diag(values) Qᵀ with a random rotation Q.</summary>
    public static double[,] Spd(double[] values, uint item)
    {
        double[,] q = Orthogonal(values.Length, item);
        return Multiply(Multiply(q, Diagonal(values)), Transpose(q));
    }

    public static double[,] Orthogonal(int n, uint item) => SmallSvd.Decompose(Normal(n, n, item)).Left;

    public static double[,] Diagonal(double[] values)
    {
        var a = new double[values.Length, values.Length];
        for (int i = 0; i < values.Length; i++)
            a[i, i] = values[i];
        return a;
    }

    public static double[,] Transpose(double[,] a)
    {
        var t = new double[a.GetLength(1), a.GetLength(0)];
        for (int i = 0; i < a.GetLength(0); i++)
        {
            for (int j = 0; j < a.GetLength(1); j++)
                t[j, i] = a[i, j];
        }
        return t;
    }

    public static double[,] Multiply(double[,] a, double[,] b)
    {
        int m = a.GetLength(0), k = a.GetLength(1), n = b.GetLength(1);
        var c = new double[m, n];
        for (int i = 0; i < m; i++)
        {
            for (int p = 0; p < k; p++)
            {
                for (int j = 0; j < n; j++)
                    c[i, j] += a[i, p] * b[p, j];
            }
        }
        return c;
    }

    public static double Dot(double[,] a, double[,] b)
    {
        double sum = 0;
        for (int i = 0; i < a.GetLength(0); i++)
        {
            for (int j = 0; j < a.GetLength(1); j++)
                sum += a[i, j] * b[i, j];
        }
        return sum;
    }

    public static double Norm(double[,] a) => Math.Sqrt(Dot(a, a));

    public static double Cosine(double[,] a, double[,] b) => Dot(a, b) / (Norm(a) * Norm(b));

    /// <summary>‖a/d(a) − b/d(b)‖_F / ‖b/d(b)‖_F, d = trace: distance up to scale.</summary>
    public static double Distance(double[,] a, double[,] b)
    {
        double scale = Trace(b) / Trace(a), sum = 0;
        for (int i = 0; i < a.GetLength(0); i++)
        {
            for (int j = 0; j < a.GetLength(1); j++)
                sum += Math.Pow(a[i, j] * scale - b[i, j], 2);
        }
        return Math.Sqrt(sum) / Norm(b);
    }

    public static double Trace(double[,] a) => Enumerable.Range(0, a.GetLength(0)).Sum(i => a[i, i]);

    /// <summary>Smallest over largest eigenvalue of a symmetric matrix: λ of a + ‖a‖·I are its singular values.</summary>
    public static double EigenvalueRatio(double[,] a)
    {
        double shift = Norm(a);
        var shifted = (double[,])a.Clone();
        for (int i = 0; i < a.GetLength(0); i++)
            shifted[i, i] += shift;
        double[] values = SmallSvd.Decompose(shifted).Values;
        return (values[^1] - shift) / (values[0] - shift);
    }

    /// <summary>(matrix + εI)⁻¹ by Gauss–Jordan elimination; positive definite, so without pivoting.</summary>
    public static double[,] DampedInverse(double[,] matrix, double epsilon)
    {
        int n = matrix.GetLength(0);
        double[,] left = (double[,])matrix.Clone(), right = new double[n, n];
        for (int i = 0; i < n; i++)
        {
            left[i, i] += epsilon;
            right[i, i] = 1;
        }
        for (int pivot = 0; pivot < n; pivot++)
        {
            double divisor = left[pivot, pivot];
            for (int j = 0; j < n; j++)
            {
                left[pivot, j] /= divisor;
                right[pivot, j] /= divisor;
            }
            for (int i = 0; i < n; i++)
            {
                double factor = left[i, pivot];
                for (int j = 0; j < n && i != pivot; j++)
                {
                    left[i, j] -= factor * left[pivot, j];
                    right[i, j] -= factor * right[pivot, j];
                }
            }
        }
        return right;
    }

    /// <summary>Of a host tensor.</summary>
    public static double[,] ToArray(Tensor tensor)
    {
        var a = new double[tensor.Rows, tensor.Columns];
        for (int i = 0; i < tensor.Rows; i++)
        {
            for (int j = 0; j < tensor.Columns; j++)
                a[i, j] = tensor.Type == DType.F64 ? tensor.Row<double>(i)[j] : tensor.Row<float>(i)[j];
        }
        return a;
    }

    /// <summary>Of a tensor of any backend.</summary>
    public static double[,] ToArray(IBackend backend, Tensor tensor)
    {
        using Tensor wide = backend.Allocate(DType.F64, tensor.Rows, tensor.Columns), host = Tensor.AllocateHost(DType.F64, tensor.Rows, tensor.Columns);
        backend.Convert(tensor, wide);
        backend.Download(wide, host.AsSpan<double>());
        return ToArray(host);
    }

    public static Tensor ToTensor(IBackend backend, double[,] a, DType type)
    {
        using Tensor full = backend.Allocate(DType.F64, a.GetLength(0), a.GetLength(1));
        backend.Upload<double>([.. a.Cast<double>()], full);
        Tensor result = backend.Allocate(type, full.Rows, full.Columns);
        backend.Convert(full, result);
        return result;
    }

    /// <summary>A stack of given gradients: G = Iᵀ G, so an F64 stack holds them exactly.</summary>
    public static GradientStack Stack(IBackend backend, IReadOnlyList<double[,]> gradients, DType type)
    {
        int m = gradients[0].GetLength(0), n = gradients[0].GetLength(1);
        DType operand = type == DType.F64 ? DType.F64 : DType.F32;
        var stack = new GradientStack(backend, "model.layers.0.test_proj", m, n, gradients.Count, type);
        using Tensor identity = backend.Allocate(operand, m, m);
        backend.FillIdentity(identity);
        foreach (double[,] gradient in gradients)
        {
            using Tensor x = ToTensor(backend, gradient, operand);
            stack.Append(x, identity);
        }
        return stack;
    }
}
