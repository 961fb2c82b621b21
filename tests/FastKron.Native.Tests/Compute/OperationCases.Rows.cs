using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Tests.Compute;

internal static partial class OperationCases
{
    // Widths below, at and beyond a block's 256 threads; negative weights count as 0.
    private static IEnumerable<OperationCase> WeightedRowCases =>
        from shape in new[] { (1, 1, 1), (5, 33, 7), (40, 256, 300), (9, 1500, 576) }
        from types in new[] { (DType.F32, DType.F32), (DType.F32, DType.BF16), (DType.BF16, DType.BF16) }
        select WeighRowsCase(shape, types.Item1, types.Item2) with { DeviceOnly = types.Item2 == DType.BF16 };

    private static OperationCase WeighRowsCase((int Rows, int Width, int Columns) shape, DType typeB, DType type)
    {
        var (rows, width, columns) = shape;

        // Half an ulp of bf16, 1/256, of the largest elements: half of the weights are 0, so these lie up to 7 root mean squares out. The root is taken of a sum of `width` products, which may cancel to a small one.
        double tolerance = (type == DType.BF16 ? 8.0 / 256 : 0) + 40 * Math.Sqrt(width) * SingleRounding;
        return Case("matrix", $"WeighRows {shape} {typeB},{type}", tolerance, operands =>
        {
            Tensor a = operands.Normal(DType.F32, rows, width), b = operands.Normal(typeB, rows, width);
            Tensor x = operands.Normal(type, rows, columns), y = operands.Output(type, rows, columns);
            double[] expected = new double[rows * columns];
            WeightedRows.Weigh(operands.Read(a), operands.Read(b), operands.Read(x), rows, expected);
            return new(backend => backend.WeighRows(a, b, x, y), () => operands.Error(y, expected), 2.0 * a.Length, a.Bytes + b.Bytes + x.Bytes + y.Bytes);
        });
    }
}
