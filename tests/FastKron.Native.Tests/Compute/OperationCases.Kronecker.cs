using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Tests.Compute;

internal static partial class OperationCases
{
    // Rows, gradients, columns of a gradient: one, one off the tiles, wide and tall; float64 is what the reference solvers run on.
    private static IEnumerable<OperationCase> Kronecker =>
    [
        .. from shape in new[] { (1, 1, 1), (5, 3, 7), (33, 4, 65), (64, 2, 48), (17, 75, 9) }
           from type in new[] { DType.F32, DType.BF16, DType.F64 }
           from side in new[] { KroneckerSide.Rows, KroneckerSide.Columns }
           from item in new[] { KroneckerApplyCase(shape, type, side), KroneckerGramCase(shape, type, side, true), KroneckerGramCase(shape, type, side, false) }
           select item,

        // Compute capability 9.0 multiplies what bulk copies can describe in blocks of 256: in one block, off it, several with one and more chunks, tall and wide.
        .. from shape in new[] { (8, 2, 16), (64, 3, 256), (136, 5, 72), (264, 2, 328), (320, 9, 40), (72, 75, 40) }
           from side in new[] { KroneckerSide.Rows, KroneckerSide.Columns }
           from item in new[] { KroneckerApplyCase(shape, DType.BF16, side, true), KroneckerGramCase(shape, DType.BF16, side, true, true), KroneckerGramCase(shape, DType.BF16, side, false, true) }
           select item,

        // Beyond a GPU's whole product (1024) and its panels of a triangle (512).
        KroneckerApplyCase((1100, 2, 3), DType.BF16, KroneckerSide.Rows),
        KroneckerApplyCase((3, 2, 1100), DType.F32, KroneckerSide.Columns),
        KroneckerGramCase((2, 3, 1100), DType.BF16, KroneckerSide.Columns, true),
        KroneckerGramCase((3, 2, 600), DType.BF16, KroneckerSide.Rows, true),
        KroneckerGramCase((600, 2, 3), DType.F32, KroneckerSide.Columns, true),
    ];

    private static OperationCase KroneckerApplyCase((int M, int K, int N) shape, DType type, KroneckerSide side, bool aligned = false) =>
        KroneckerCase($"KroneckerApply {side} {shape} {type}", shape, type, side, 4, aligned, (operands, stack, given, result) =>
        {
            Tensor v = operands.PositiveDefinite(result.Type, given);
            double[] expected = new double[result.Length];
            KroneckerOperator.Apply(operands.Read(stack), shape.M, shape.K, shape.N, side, operands.Read(v), expected);
            return (b => b.KroneckerApply(stack, shape.K, side, v, result), expected);
        });

    private static OperationCase KroneckerGramCase((int M, int K, int N) shape, DType type, KroneckerSide side, bool hasRoot, bool aligned = false) =>
        KroneckerCase($"KroneckerGram {(hasRoot ? "root" : "identity")} {side} {shape} {type}", shape, type, side, hasRoot ? 2 : 1, aligned, (operands, stack, given, result) =>
        {
            Tensor? root = hasRoot ? operands.LowerTriangle(result.Type, given) : null;
            double[] values = root is null ? Identity(given) : operands.Read(root), expected = new double[result.Length];
            KroneckerOperator.Gram(operands.Read(stack), shape.M, shape.K, shape.N, side, values, expected);
            return (b => b.KroneckerGram(stack, shape.K, side, root, result), expected);
        });

    private static OperationCase KroneckerCase(
        string name, (int M, int K, int N) shape, DType type, KroneckerSide side, double productFlops, bool aligned,
        Func<MatrixOperands, Tensor, int, Tensor, (Action<IBackend> Execute, double[] Expected)> prepare)
    {
        var (m, k, n) = shape;
        (int produced, int given) = side == KroneckerSide.Rows ? (m, n) : (n, m);
        DType resultType = type == DType.F64 ? DType.F64 : DType.F32;

        // Two sums after each other, of `given` and of K · given terms; the stack's values are taken as they are. Beside a BF16 stack a GPU rounds the other operand
        // and the first product to BF16, too: each time by 1.7e-3 (root mean square, up to 2⁻⁸), at most four times, up to 6.6e-3 of the result's norm where nothing averages (5.0e-3 seen on an H100);
        // with as many gradients as a collection has, the issue's 2e-3.
        double rounded = k >= 75 ? 2e-3 : 6.6e-3 + 1.6e-2 / Math.Sqrt((double)m * n * k);
        double tolerance = type == DType.BF16 ? rounded : 2 * Math.Sqrt(k * given + 1) * (type == DType.F64 ? DoubleRounding : SingleRounding);
        return Case("kronecker", name, tolerance, operands =>
        {
            Tensor stack = operands.ContiguousNormal(type, m, k * n);
            Tensor result = aligned ? operands.ContiguousNormal(resultType, produced, produced) : operands.Output(resultType, produced, produced);
            var (execute, expected) = prepare(operands, stack, given, result);
            double flops = k * (double)m * n * (productFlops / 2 * given + produced);
            return new(execute, () => SymmetricError(operands, result, expected, inNorm: type == DType.BF16), flops, stack.Bytes + result.Bytes);
        });
    }

    private static double[] Identity(int n)
    {
        double[] values = new double[n * n];
        for (int i = 0; i < n; i++)
            values[i * (n + 1)] = 1;
        return values;
    }
}
