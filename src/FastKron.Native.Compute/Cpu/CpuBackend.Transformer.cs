using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <summary>Elements that one work item of a row-wise operation covers: far above the cost of handing an item to a thread, within the L2 cache.</summary>
    private const int ElementsPerItem = 32768;

    /// <inheritdoc/>
    public void Embedding(Tensor ids, Tensor table, Tensor y)
    {
        TransformerArguments.Embedding(onHost: true, ids, table, y);
        ForRows(y.Rows, y.Columns, t => table.Row<float>(ids.Row<int>(0)[t]).CopyTo(y.Row<float>(t)));
    }

    /// <inheritdoc/>
    public void RmsNorm(Tensor x, Tensor weight, float epsilon, Tensor y)
    {
        TransformerArguments.RmsNorm(onHost: true, x, weight, y);
        ForRows(x.Rows, x.Columns, t =>
        {
            ReadOnlySpan<float> w = weight.Row<float>(0);
            for (int group = 0; group < x.Columns; group += w.Length)
            {
                ReadOnlySpan<float> source = x.Row<float>(t).Slice(group, w.Length);
                Span<float> destination = y.Row<float>(t).Slice(group, w.Length);
                TensorPrimitives.Multiply(source, InverseRoot(source, epsilon), destination);
                TensorPrimitives.Multiply(destination, w, destination);
            }
        });
    }

    /// <inheritdoc/>
    public void RmsNormBackward(Tensor dy, Tensor x, Tensor weight, float epsilon, Tensor dx, bool accumulate)
    {
        TransformerArguments.RmsNormBackward(onHost: true, dy, x, weight, dx);
        ForRows(x.Rows, x.Columns, t =>
        {
            ReadOnlySpan<float> w = weight.Row<float>(0);
            for (int group = 0; group < x.Columns; group += w.Length)
            {
                RmsNormGroupBackward(
                    dy.Row<float>(t).Slice(group, w.Length), x.Row<float>(t).Slice(group, w.Length), w, epsilon,
                    dx.Row<float>(t).Slice(group, w.Length), accumulate);
            }
        });
    }

    /// <inheritdoc/>
    public void Rotary(Tensor x, Tensor positions, Tensor cosines, Tensor sines, int headDimension, bool inverse)
    {
        TransformerArguments.Rotary(onHost: true, x, positions, cosines, sines, headDimension);
        ForRows(x.Rows, x.Columns, t =>
        {
            int position = positions.Row<int>(0)[t];
            for (int head = 0; head < x.Columns; head += headDimension)
                RotateHead(x.Row<float>(t).Slice(head, headDimension), cosines.Row<float>(position), sines.Row<float>(position), inverse);
        });
    }

    /// <inheritdoc/>
    public void SwiGlu(Tensor gate, Tensor up, Tensor y)
    {
        TransformerArguments.SwiGlu(onHost: true, gate, up, y);
        ForRows(gate.Rows, gate.Columns, t => GatedActivation.Forward(gate.Row<float>(t), up.Row<float>(t), y.Row<float>(t)));
    }

    /// <inheritdoc/>
    public void SwiGluBackward(Tensor dy, Tensor gate, Tensor up, Tensor dGate, Tensor dUp)
    {
        TransformerArguments.SwiGluBackward(onHost: true, dy, gate, up, dGate, dUp);
        ForRows(gate.Rows, gate.Columns, t =>
            GatedActivation.Backward(dy.Row<float>(t), gate.Row<float>(t), up.Row<float>(t), dGate.Row<float>(t), dUp.Row<float>(t)));
    }

    /// <inheritdoc/>
    public void Add(Tensor x, Tensor y)
    {
        TransformerArguments.Add(onHost: true, x, y);
        ForRows(x.Rows, x.Columns, t => TensorPrimitives.Add(x.Row<float>(t), y.Row<float>(t), y.Row<float>(t)));
    }

    private static float InverseRoot(ReadOnlySpan<float> x, float epsilon) =>
        1 / MathF.Sqrt(TensorPrimitives.SumOfSquares(x) / x.Length + epsilon);

    /// <summary>dx ← (accumulate ? dx : 0) + r·(w∘dy) − x · r³/n · Σ(w∘dy∘x).</summary>
    private static void RmsNormGroupBackward(
        ReadOnlySpan<float> dy, ReadOnlySpan<float> x, ReadOnlySpan<float> w, float epsilon, Span<float> dx, bool accumulate)
    {
        float r = InverseRoot(x, epsilon);
        int wide = dy.Length - dy.Length % Vector<float>.Count;
        ReadOnlySpan<Vector<float>> dys = Vectors(dy), xs = Vectors(x), ws = Vectors(w);
        Span<Vector<float>> dxs = MemoryMarshal.Cast<float, Vector<float>>(dx);

        Vector<float> sums = default;
        for (int i = 0; i < dys.Length; i++)
            sums += ws[i] * dys[i] * xs[i];
        float projection = Vector.Sum(sums);
        for (int i = wide; i < dy.Length; i++)
            projection += w[i] * dy[i] * x[i];

        float along = projection * r * r * r / x.Length;
        for (int i = 0; i < dys.Length; i++)
        {
            Vector<float> gradient = r * ws[i] * dys[i] - along * xs[i];
            dxs[i] = accumulate ? dxs[i] + gradient : gradient;
        }
        for (int i = wide; i < dy.Length; i++)
        {
            float gradient = r * w[i] * dy[i] - along * x[i];
            dx[i] = accumulate ? dx[i] + gradient : gradient;
        }
    }

    private static void RotateHead(Span<float> head, ReadOnlySpan<float> cosines, ReadOnlySpan<float> sines, bool inverse)
    {
        Span<float> x1 = head[..cosines.Length], x2 = head[cosines.Length..];
        float sign = inverse ? -1 : 1;
        int i = 0;
        for (; i <= cosines.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            var cosine = new Vector<float>(cosines[i..]);
            Vector<float> sine = sign * new Vector<float>(sines[i..]), first = new(x1[i..]), second = new(x2[i..]);
            (first * cosine - second * sine).CopyTo(x1[i..]);
            (second * cosine + first * sine).CopyTo(x2[i..]);
        }
        for (; i < cosines.Length; i++)
        {
            float sine = sign * sines[i];
            (x1[i], x2[i]) = (x1[i] * cosines[i] - x2[i] * sine, x2[i] * cosines[i] + x1[i] * sine);
        }
    }

    private static ReadOnlySpan<Vector<float>> Vectors(ReadOnlySpan<float> values) => MemoryMarshal.Cast<float, Vector<float>>(values);

    /// <summary>Runs <paramref name="body"/> for every row, several rows to a work item where rows are short.</summary>
    private void ForRows(int rows, int columns, Action<int> body)
    {
        int rowsPerItem = Math.Max(1, ElementsPerItem / Math.Max(1, columns));
        For((rows + rowsPerItem - 1) / rowsPerItem, item =>
        {
            int end = Math.Min(rows, (item + 1) * rowsPerItem);
            for (int row = item * rowsPerItem; row < end; row++)
                body(row);
        });
    }
}
