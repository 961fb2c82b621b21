using System.Numerics.Tensors;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Tests.Compute;

internal static partial class OperationCases
{
    // Factors of a relative error of √terms roundings in the sums (half an ulp each), times about 5 for the largest of many elements.
    private const double SingleRounding = 6e-8 * 5, DoubleRounding = 1.2e-16 * 5;

    private static readonly DType[] FloatingTypes = [DType.F32, DType.F64, DType.BF16, DType.F16];

    private static readonly (DType A, DType B, DType C)[] ProductTypes =
    [
        (DType.F32, DType.F32, DType.F32), (DType.F64, DType.F64, DType.F64), (DType.F32, DType.BF16, DType.F32),
        (DType.BF16, DType.F32, DType.BF16), (DType.F16, DType.F16, DType.F16), (DType.BF16, DType.BF16, DType.BF16), (DType.BF16, DType.BF16, DType.F32),
    ];

    private static IEnumerable<OperationCase> Matrix =>
        [.. MatMulCases, .. RankKCases, .. SymmetricProductCases, .. ConvertCases, .. FillCases, .. VectorCases, .. MultiplyCases, .. FactorCases];

    private static IEnumerable<OperationCase> MatMulCases =>
    [
        // One row or column, one off the register tiles (8 or 4 rows, 48 … 3 columns), several cache tiles.
        .. from shape in new[] { (1, 1, 1), (1, 130, 67), (3, 5, 7), (8, 48, 256), (9, 49, 257), (16, 300, 16), (103, 199, 65) }
           from types in ProductTypes
           from transposeA in new[] { false, true }
           from transposeB in new[] { false, true }
           select MatMulCase(shape, types, transposeA, transposeB, 1, 0),

        // Scaled and added to; deeper than one packed block (2048), where a narrow result must not be rounded between.
        .. from shape in new[] { (2, 70, 33), (33, 65, 17), (10, 17, 4100) }
           from types in ProductTypes
           select MatMulCase(shape, types, false, true, -0.5, 0.25),

        // smollm2-135m: a forward, a backward and a gradient product of the MLP, 32 tokens.
        MatMulCase((32, 1536, 576), ProductTypes[2], false, true, 1, 0),
        MatMulCase((32, 576, 1536), ProductTypes[2], false, false, 1, 1),
        MatMulCase((576, 192, 32), (DType.F32, DType.F32, DType.BF16), true, false, 1, 1),
        MatMulCase((1, 576, 1536), ProductTypes[2], false, true, 1, 0),
    ];

    private static IEnumerable<OperationCase> RankKCases =>
    [
        .. from shape in new[] { (1, 1), (9, 33), (65, 7), (131, 300), (50, 2100) }
           from types in new[] { (DType.F32, DType.F32), (DType.BF16, DType.F32), (DType.F16, DType.F32), (DType.F64, DType.F64) }
           from transpose in new[] { false, true }
           from beta in new[] { 0.0, -2.0 }
           select RankKCase(shape, types, transpose, beta),

        // Large enough for the blocks of compute capability 9.0, and off them.
        .. from transpose in new[] { false, true }
           from beta in new[] { 0.0, -2.0 }
           select RankKCase((536, 520), (DType.BF16, DType.F32), transpose, beta, aligned: true),
    ];

    private static IEnumerable<OperationCase> SymmetricProductCases =>
    [
        .. from shape in new[] { (1, 1), (9, 33), (65, 7), (131, 300) }
           from types in new[] { (DType.F32, DType.F32), (DType.BF16, DType.F32), (DType.F64, DType.F64) }
           from beta in new[] { 0.0, -2.0 }
           select SymmetricProductCase(shape, types, beta),

        // Large enough for the blocks of compute capability 9.0, and off them.
        .. from beta in new[] { 0.0, 1.0, -2.0 } select SymmetricProductCase((536, 520), (DType.BF16, DType.F32), beta, aligned: true),
    ];

    // Exact: the conversion of one number is the definition.
    private static IEnumerable<OperationCase> ConvertCases =>
        from source in FloatingTypes
        from target in FloatingTypes
        from shape in new[] { (1, 1), (5, 131) }
        select Case("matrix", $"Convert {source} {target} {shape}", 0, operands =>
        {
            Tensor x = operands.Normal(source, shape.Item1, shape.Item2), y = operands.Output(target, shape.Item1, shape.Item2);
            double[] expected = Array.ConvertAll(operands.Read(x), value => Rounded(value, target));
            return new(b => b.Convert(x, y), () => operands.Error(y, expected), 0, x.Bytes + y.Bytes);
        });

    private static IEnumerable<OperationCase> VectorCases =>
        from shape in new[] { (1, 1), (3, 65), (300, 301) }
        from type in new[] { DType.F32, DType.F64 }
        from item in DotCases(shape, type).Concat([AxpyCase(shape, type), ScaleCase(shape, type)])
        select item;

    // Exact, as Convert.
    private static IEnumerable<OperationCase> FillCases =>
        from shape in new[] { (1, 1), (3, 65), (300, 301) } from type in FloatingTypes select FillCase(shape, type);

    private static IEnumerable<OperationCase> MultiplyCases => from shape in new[] { (1, 1), (3, 65), (300, 301) } select MultiplyCase(shape);

    private static IEnumerable<OperationCase> FactorCases =>
    [
        // One, in and beyond the first leaf of either backend (64, 128), several levels of halves.
        .. from shape in new[] { (1, 1), (1, 16), (3, 65), (1, 128), (2, 208), (5, 300) } select InverseRootsCase(shape.Item1, shape.Item2),
        // None, one, and as many as a GPU takes in registers (8, 16, 24, 34) and more; lengths that are no multiple of 8.
        .. from count in new[] { 0, 1, 8, 13, 24, 34, 40 }
           from shape in new[] { (1, 1), (5, 7), (40, 52) }
           from type in new[] { DType.F32, DType.F64 }
           select OrthogonalizeCase(count, shape, type),
        .. from shape in new[] { (1, 1, 1), (1, 7, 1), (1, 16, 16), (3, 65, 13), (2, 208, 16) }
           select BlockLdlCase(shape.Item1, shape.Item2, shape.Item3),
    ];

    private static OperationCase MatMulCase(
        (int M, int N, int K) shape, (DType A, DType B, DType C) types, bool transposeA, bool transposeB, double alpha, double beta)
    {
        var (m, n, k) = shape;
        string name = $"MatMul {(transposeA ? 'T' : 'N')}{(transposeB ? 'T' : 'N')} {m}x{n}x{k} {types.A},{types.B},{types.C} {alpha} {beta}";

        // A narrow result is rounded once: half an ulp of the largest elements, about 5 times the root mean square.
        double rounding = types.C switch { DType.BF16 => 5.0 / 256, DType.F16 => 5.0 / 2048, _ => 0 };
        double tolerance = rounding + Math.Sqrt(k + 1) * (types.C == DType.F64 ? DoubleRounding : SingleRounding);
        return Case("matrix", name, tolerance, operands =>
        {
            Tensor a = operands.Normal(types.A, transposeA ? k : m, transposeA ? m : k);
            Tensor b = operands.Normal(types.B, transposeB ? n : k, transposeB ? k : n);
            Tensor old = operands.Normal(types.C, m, n), c = operands.Output(types.C, m, n);
            double[] expected = operands.Read(old);
            MatrixOperations.MatMul(operands.Read(a), transposeA, operands.Read(b), transposeB, m, n, k, expected, alpha, beta);
            return new(Execute, () => operands.Error(c, expected), 2.0 * m * n * k, a.Bytes + b.Bytes + (beta == 0 ? 1 : 2) * c.Bytes);

            void Execute(IBackend backend)
            {
                if (beta != 0)
                    backend.Convert(old, c);
                backend.MatMul(a, transposeA, b, transposeB, c, alpha, beta);
            }
        });
    }

    private static OperationCase RankKCase((int N, int K) shape, (DType A, DType C) types, bool transpose, double beta, bool aligned = false)
    {
        var (n, k) = shape;

        // Four times that of a product: the sums of squares on the diagonal are larger than the root mean square.
        double tolerance = 4 * Math.Sqrt(k + 1) * (types.C == DType.F64 ? DoubleRounding : SingleRounding);
        return Case("matrix", $"SymmetricRankK {(transpose ? 'T' : 'N')} {n}x{k} {types.A},{types.C} {beta}", tolerance, operands =>
        {
            (int rows, int columns) = transpose ? (k, n) : (n, k);
            Tensor a = aligned ? operands.ContiguousNormal(types.A, rows, columns) : operands.Normal(types.A, rows, columns);
            Tensor old = operands.PositiveDefinite(types.C, n), c = aligned ? operands.ContiguousNormal(types.C, n, n) : operands.Output(types.C, n, n);
            double[] expected = operands.Read(old);
            MatrixOperations.MatMul(operands.Read(a), transpose, operands.Read(a), !transpose, n, n, k, expected, 0.5, beta);
            return new(Execute, () => SymmetricError(operands, c, expected), (double)n * (n + 1) * k, a.Bytes + c.Bytes);

            void Execute(IBackend backend)
            {
                if (beta != 0)
                    backend.Convert(old, c);
                backend.SymmetricRankK(a, transpose, c, 0.5, beta);
            }
        });
    }

    // b = s ∘ a with a number s of each row that is a power of two: then aᵀ b is symmetric in every type.
    private static OperationCase SymmetricProductCase((int N, int K) shape, (DType A, DType C) types, double beta, bool aligned = false)
    {
        var (n, k) = shape;
        double tolerance = 4 * Math.Sqrt(k + 1) * (types.C == DType.F64 ? DoubleRounding : SingleRounding);      // as that of SymmetricRankK
        return Case("matrix", $"SymmetricProduct {n}x{k} {types.A},{types.C} {beta}", tolerance, operands =>
        {
            Tensor a = aligned ? operands.ContiguousNormal(types.A, k, n) : operands.Normal(types.A, k, n);
            double[] left = operands.Read(a), right = [.. left.Select((value, i) => value * (i / n % 3 == 0 ? -2 : 0.5))];
            Tensor b = aligned ? operands.Contiguous(right, types.A, k, n) : operands.Holding(right, types.A, k, n);
            Tensor old = operands.PositiveDefinite(types.C, n), c = aligned ? operands.ContiguousNormal(types.C, n, n) : operands.Output(types.C, n, n);
            double[] expected = operands.Read(old);
            MatrixOperations.MatMul(left, true, right, false, n, n, k, expected, 0.5, beta);
            return new(Execute, () => SymmetricError(operands, c, expected), (double)n * (n + 1) * k, a.Bytes + b.Bytes + c.Bytes);

            void Execute(IBackend backend)
            {
                if (beta != 0)
                    backend.Convert(old, c);
                backend.SymmetricProduct(a, b, c, 0.5, beta);
            }
        });
    }

    // A product and a sum are rounded.
    private static OperationCase AxpyCase((int Rows, int Columns) shape, DType type) =>
        Case("matrix", $"Axpy {shape} {type}", 2 * (type == DType.F64 ? DoubleRounding : SingleRounding), operands =>
        {
            Tensor x = operands.Normal(type, shape.Rows, shape.Columns), old = operands.Normal(type, shape.Rows, shape.Columns);
            Tensor y = operands.Output(type, shape.Rows, shape.Columns);
            double[] expected = [.. operands.Read(x).Zip(operands.Read(old), (first, second) => second - 1.5 * first)];
            return new(Execute, () => operands.Error(y, expected), 2.0 * x.Length, 3.0 * x.Bytes);

            void Execute(IBackend backend)
            {
                backend.Convert(old, y);
                backend.Axpy(-1.5, x, y);
            }
        });

    // A product is rounded once; of 90,300 products of two normal numbers the largest are near 16 root mean squares.
    private static OperationCase MultiplyCase((int Rows, int Columns) shape) =>
        Case("matrix", $"Multiply {shape}", 16 * 6e-8, operands =>
        {
            Tensor x = operands.Normal(DType.F32, shape.Rows, shape.Columns), old = operands.Normal(DType.F32, shape.Rows, shape.Columns);
            Tensor y = operands.Output(DType.F32, shape.Rows, shape.Columns);
            double[] expected = [.. operands.Read(x).Zip(operands.Read(old), (first, second) => first * second)];
            return new(Execute, () => operands.Error(y, expected), x.Length, 3.0 * x.Bytes);

            void Execute(IBackend backend)
            {
                backend.Convert(old, y);
                backend.Multiply(x, y);
            }
        });

    // The factor is rounded, and the product.
    private static OperationCase ScaleCase((int Rows, int Columns) shape, DType type) =>
        Case("matrix", $"Scale {shape} {type}", 2 * (type == DType.F64 ? DoubleRounding : SingleRounding), operands =>
        {
            Tensor old = operands.Normal(type, shape.Rows, shape.Columns), x = operands.Output(type, shape.Rows, shape.Columns);
            double[] expected = Array.ConvertAll(operands.Read(old), value => 0.3 * value);
            return new(Execute, () => operands.Error(x, expected), x.Length, 2.0 * x.Bytes);

            void Execute(IBackend backend)
            {
                backend.Convert(old, x);
                backend.Scale(0.3, x);
            }
        });

    private static OperationCase FillCase((int Rows, int Columns) shape, DType type) =>
        Case("matrix", $"Fill {shape} {type}", 0, operands =>
        {
            Tensor x = operands.Output(type, shape.Rows, shape.Columns);
            double[] expected = [.. Enumerable.Repeat(Rounded(0.1, type), shape.Rows * shape.Columns)];
            return new(b => b.Fill(x, 0.1), () => operands.Error(x, expected), 0, x.Bytes);
        });

    // Float64 sums of exact products; the error is measured against the root of the sum of squares, which no cancellation shrinks.
    private static IEnumerable<OperationCase> DotCases((int Rows, int Columns) shape, DType type) =>
        from other in FloatingTypes
        select Case("matrix", $"Dot {shape} {type},{other}", 1e-14, operands =>
        {
            Tensor x = operands.Normal(type, shape.Rows, shape.Columns), y = operands.Normal(other, shape.Rows, shape.Columns);
            double[] products = [.. operands.Read(x).Zip(operands.Read(y), (first, second) => first * second)];
            double actual = double.NaN, scale = Math.Sqrt(products.Sum(value => value * value));
            return new(b => actual = b.Dot(x, y), () => Math.Abs(actual - products.Sum()) / scale, 2.0 * x.Length, x.Bytes + y.Bytes);
        });

    // The matrices have a condition below 20; errors grow with the root of the order.
    private static double FactorTolerance(int n) => 20 * Math.Sqrt(n) * DoubleRounding;

    // H's condition is about 10; the determinant is compared with its own size.
    private static OperationCase InverseRootsCase(int matrices, int n) =>
        Case("matrix", $"InverseRoots {matrices}x{n}", 1e-13 * Math.Sqrt(n), operands =>
        {
            Tensor[] old = [.. Enumerable.Range(0, matrices).Select(_ => operands.PositiveDefinite(DType.F64, n))];
            Tensor h = operands.Output(DType.F64, matrices * n, n), logarithms = operands.ContiguousNormal(DType.F64, matrices, 1), failures = operands.Integers(matrices);
            double[][] expected = [.. old.Select(operands.Read)];
            double[] determinants = new double[matrices];
            for (int matrix = 0; matrix < matrices; matrix++)
            {
                int failed = MatrixOperations.Cholesky(expected[matrix], n);
                for (int i = 0; i < n; i++)
                    determinants[matrix] += failed == 0 ? 2 * Math.Log(expected[matrix][i * (n + 1)]) : double.NaN;
                MatrixOperations.TriangularInverse(expected[matrix], n);
            }
            int[] found = new int[matrices];
            return new(Execute, Error, 2.0 / 3 * matrices * n * n * n, 2.0 * h.Bytes);

            void Execute(IBackend backend)
            {
                for (int matrix = 0; matrix < matrices; matrix++)
                    backend.Convert(old[matrix], h.SliceRows(matrix * n, n));
                backend.InverseRoots(h, logarithms, failures);
                backend.Download<int>(failures, found);
            }

            double Error()
            {
                double[] logarithm = operands.Read(logarithms);
                double[] errors = [.. logarithm.Select((value, i) => Math.Abs(value - determinants[i]) / (1 + Math.Abs(determinants[i])))];
                return found.All(f => f == 0) ? Math.Max(operands.Error(h, [.. expected.SelectMany(e => e)]), errors.Max()) : double.PositiveInfinity;
            }
        });

    // The basis is any set of vectors for which twice differs from once: the definition is the formula, not its purpose.
    private static OperationCase OrthogonalizeCase(int count, (int Rows, int Columns) shape, DType type)
    {
        int length = shape.Rows * shape.Columns;
        double tolerance = Math.Sqrt(length + 1) * 10 * (type == DType.F64 ? DoubleRounding : SingleRounding);
        return Case("matrix", $"Orthogonalize {count} {shape} {type}", tolerance, operands =>
        {
            Tensor[] basis = [.. Enumerable.Range(0, count).Select(_ => operands.ContiguousNormal(type, shape.Rows, shape.Columns, 0.5 / Math.Sqrt((double)length * Math.Max(1, count))))];
            Tensor old = operands.ContiguousNormal(type, shape.Rows, shape.Columns), x = operands.ContiguousNormal(type, shape.Rows, shape.Columns);
            double[][] vectors = [.. basis.Select(operands.Read)];
            double[] expected = operands.Read(old);
            for (int pass = 0; pass < 2; pass++)
            {
                double[] coefficients = [.. vectors.Select(q => TensorPrimitives.Dot<double>(q, expected))];
                for (int i = 0; i < count; i++)
                    TensorPrimitives.MultiplyAdd(vectors[i], -coefficients[i], expected, expected);
            }
            double norm = TensorPrimitives.Norm<double>(expected), found = double.NaN;
            return new(Execute, () => Math.Max(operands.Error(x, expected), Math.Abs(found / norm - 1)), 6.0 * count * length, (3.0 * count + 5) * x.Bytes);

            void Execute(IBackend backend)
            {
                backend.Convert(old, x);
                found = backend.Orthogonalize(basis, x);
            }
        });
    }

    // l is float32: its largest elements are rounded by half an ulp, against a root mean square that many zeros make small.
    private static OperationCase BlockLdlCase(int matrices, int n, int block) =>
        Case("matrix", $"BlockLdl {matrices}x{n}/{block}", 1e-5, operands =>
        {
            Tensor[] old = [.. Enumerable.Range(0, matrices).Select(_ => operands.PositiveDefinite(DType.F64, n))];
            Tensor h = operands.Output(DType.F64, matrices * n, n), l = operands.Output(DType.F32, matrices * n, n);
            Tensor d = operands.Output(DType.F64, matrices * n, block), failures = operands.Integers(matrices);
            double[] factor = [.. old.SelectMany(operands.Read)], expectedL = new double[factor.Length], expectedD = new double[matrices * n * block];
            for (int b = 0; b < matrices; b++)
            {
                Span<double> Of(double[] stack, int columns) => stack.AsSpan(b * n * columns, n * columns);
                MatrixOperations.BlockLdl(Of(factor, n), n, block, Of(expectedL, n), Of(expectedD, block));
            }
            return new(Execute, Error, matrices * (n * (double)n * n / 3), 2.0 * h.Bytes + l.Bytes + d.Bytes);

            void Execute(IBackend backend)
            {
                for (int b = 0; b < matrices; b++)
                    backend.Convert(old[b], h.SliceRows(b * n, n));
                backend.BlockLdl(h, block, l, d, failures);
            }

            double Error()
            {
                bool exact = Math.Max(operands.Error(h, factor), operands.Error(d, expectedD)) <= FactorTolerance(n);
                return exact ? operands.Error(l, expectedL) : double.PositiveInfinity;
            }
        });

    /// <summary>The error, or infinity unless the matrix equals its transpose bit for bit.</summary>
    private static double SymmetricError(MatrixOperands operands, Tensor actual, double[] expected, bool inNorm = false)
    {
        double[] values = operands.Read(actual);
        int n = actual.Rows;
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < i; j++)
            {
                if (values[i * n + j] != values[j * n + i])
                    return double.PositiveInfinity;
            }
        }
        return inNorm ? operands.NormError(actual, expected) : operands.Error(actual, expected);
    }

    private static double Rounded(double value, DType type) => type switch
    {
        DType.F64 => value,
        DType.F32 => (float)value,
        DType.F16 => (double)(Half)value,
        _ => NearestBFloat16(value),
    };

    /// <summary>The nearer of the two bfloat16 numbers around a finite value, ties to the even one.</summary>
    private static double NearestBFloat16(double value)
    {
        uint bits = BitConverter.SingleToUInt32Bits((float)value) & 0xFFFF_0000;
        double[] candidates =
            [.. new[] { bits - 0x1_0000, bits, bits + 0x1_0000 }.Select(b => (double)BitConverter.UInt32BitsToSingle(b)).Where(double.IsFinite)];
        return candidates.OrderBy(c => Math.Abs(c - value)).ThenBy(c => (BitConverter.SingleToUInt32Bits((float)c) >> 16) & 1).First();
    }

    private static OperationCase Case(string family, string name, double tolerance, Func<MatrixOperands, MatrixRun> prepare) =>
        new(family, name, tolerance, backend =>
        {
            var operands = new MatrixOperands(backend);
            MatrixRun run = prepare(operands);
            return new(() => run.Execute(backend), run.Error, run.Flops, run.Bytes, operands.Dispose);
        });

    private sealed record MatrixRun(Action<IBackend> Execute, Func<double> Error, double Flops, double Bytes);
}
