using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public void Attention(Tensor q, Tensor k, Tensor v, AttentionLayout layout, Tensor output, Tensor? logSumExp)
    {
        double[] o = new double[output.Length], l = new double[q.Rows * layout.Heads];
        CausalAttention.Forward(Wide(q), Wide(k), Wide(v), layout, o, l);
        Narrow(o, output);
        if (logSumExp is not null)
            Narrow(l, logSumExp);
    }

    /// <inheritdoc/>
    public void AttentionBackward(
        Tensor dOutput, Tensor q, Tensor k, Tensor v, Tensor output, Tensor logSumExp, AttentionLayout layout, Tensor dq, Tensor dk, Tensor dv)
    {
        double[] a = new double[dq.Length], b = new double[dk.Length], c = new double[dv.Length];
        CausalAttention.Backward(Wide(dOutput), Wide(q), Wide(k), Wide(v), layout, a, b, c);
        Narrow(a, dq);
        Narrow(b, dk);
        Narrow(c, dv);
    }

    private static double[] Wide(Tensor tensor)
    {
        double[] values = new double[tensor.Length];
        for (int row = 0; row < tensor.Rows; row++)
        {
            for (int column = 0; column < tensor.Columns; column++)
                values[row * tensor.Columns + column] = tensor.Row<float>(row)[column];
        }
        return values;
    }

    private static void Narrow(double[] values, Tensor tensor)
    {
        for (int row = 0; row < tensor.Rows; row++)
        {
            for (int column = 0; column < tensor.Columns; column++)
                tensor.Row<float>(row)[column] = (float)values[row * tensor.Columns + column];
        }
    }
}
