using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Gpu;

public sealed partial class GpuBackend
{
    // kernels/rows.cu
    private const int RowThreads = 256;

    /// <inheritdoc/>
    public void WeighRows(Tensor a, Tensor b, Tensor x, Tensor y)
    {
        Enter();
        MatrixArguments.WeighRows(onHost: false, a, b, x, y);
        if (y.Length == 0)
            return;
        var args = new WeighRowsArgs(
            y.Address, a.Address, b.Address, x.Address, (nuint)y.Stride, (nuint)a.Stride, (nuint)b.Stride, (nuint)x.Stride, a.Columns, x.Columns);
        string name = (b.Type, x.Type) switch
        {
            (DType.F32, DType.F32) => "weigh_rows_f32_f32",
            (DType.F32, _) => "weigh_rows_f32_bf16",
            _ => "weigh_rows_bf16_bf16",
        };
        Kernel("rows", name).Launch(_stream, y.Rows, RowThreads, args);
    }

    private readonly record struct WeighRowsArgs(
        nint Y, nint A, nint B, nint X, nuint StrideY, nuint StrideA, nuint StrideB, nuint StrideX, int Width, int Columns);
}
