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

        // Beyond a GPU's whole product (1024) and its panels of a triangle (512).
        KroneckerApplyCase((1100, 2, 3), DType.BF16, KroneckerSide.Rows),
        KroneckerApplyCase((3, 2, 1100), DType.F32, KroneckerSide.Columns),
        KroneckerGramCase((2, 3, 1100), DType.BF16, KroneckerSide.Columns, true),
        KroneckerGramCase((3, 2, 600), DType.BF16, KroneckerSide.Rows, true),
        KroneckerGramCase((600, 2, 3), DType.F32, KroneckerSide.Columns, true),
    ];

    private static OperationCase KroneckerApplyCase((int M, int K, int N) shape, DType type, KroneckerSide side) =>
        KroneckerCase($"KroneckerApply {side} {shape} {type}", shape, type, side, 4, (operands, stack, given, result) =>
        {
            Tensor v = operands.PositiveDefinite(result.Type, given);
            double[] expected = new double[result.Length];
            KroneckerOperator.Apply(operands.Read(stack), shape.M, shape.K, shape.N, side, operands.Read(v), expected);
            return (b => b.KroneckerApply(stack, shape.K, side, v, result), expected);
        });

    private static OperationCase KroneckerGramCase((int M, int K, int N) shape, DType type, KroneckerSide side, bool hasRoot) =>
        KroneckerCase($"KroneckerGram {(hasRoot ? "root" : "identity")} {side} {shape} {type}", shape, type, side, hasRoot ? 2 : 1, (operands, stack, given, result) =>
        {
            Tensor? root = hasRoot ? operands.LowerTriangle(result.Type, given) : null;
            double[] values = root is null ? Identity(given) : operands.Read(root), expected = new double[result.Length];
            KroneckerOperator.Gram(operands.Read(stack), shape.M, shape.K, shape.N, side, values, expected);
            return (b => b.KroneckerGram(stack, shape.K, side, root, result), expected);
        });

    private static OperationCase KroneckerCase(
        string name, (int M, int K, int N) shape, DType type, KroneckerSide side, double productFlops,
        Func<MatrixOperands, Tensor, int, Tensor, (Action<IBackend> Execute, double[] Expected)> prepare)
    {
        var (m, k, n) = shape;
        (int produced, int given) = side == KroneckerSide.Rows ? (m, n) : (n, m);
        DType resultType = type == DType.F64 ? DType.F64 : DType.F32;

        // Two sums after each other, of `given` and of K · given terms; the stack's values are taken as they are. Beside a BF16 stack a GPU
        // holds the other operand and the first product as two BF16 numbers each: errors of up to 2⁻¹⁷ of every term, twice, and the largest
        // elements (the diagonal of a low-rank result) are some ten times the root mean square: 1.3e-4 seen on an H100.
        double tolerance = (type == DType.BF16 ? 2e-4 : 0) + 2 * Math.Sqrt(k * given + 1) * (type == DType.F64 ? DoubleRounding : SingleRounding);
        return Case("kronecker", name, tolerance, operands =>
        {
            Tensor stack = operands.ContiguousNormal(type, m, k * n), result = operands.Output(resultType, produced, produced);
            var (execute, expected) = prepare(operands, stack, given, result);
            double flops = k * (double)m * n * (productFlops / 2 * given + produced);
            return new(execute, () => SymmetricError(operands, result, expected), flops, stack.Bytes + result.Bytes);
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
