using System.Numerics.Tensors;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public void WeighRows(Tensor a, Tensor b, Tensor x, Tensor y)
    {
        MatrixArguments.WeighRows(onHost: true, a, b, x, y);
        ForRows(y.Rows, a.Columns + x.Columns, t =>
        {
            float weight = TensorPrimitives.Dot<float>(a.Row<float>(t), b.Row<float>(t));
            TensorPrimitives.Multiply(x.Row<float>(t), MathF.Sqrt(MathF.Max(0, weight)), y.Row<float>(t));
        });
    }
}
