using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Incoherence;

namespace FastKron.Native.Tests.Compute;

internal static partial class OperationCases
{
    // Errors are relative to the root mean square of the output. F32: about log2(size) roundings, plus a sum of up to 172 terms: below 2e-6; F64: 1e-14.
    private static IEnumerable<OperationCase> Incoherence =>
        from shape in HadamardShapes
        from type in new[] { DType.F32, DType.F64 }
        from axis in new[] { HadamardAxis.Rows, HadamardAxis.Columns }
        from inverse in new[] { false, true }
        select HadamardCase(shape.Size, shape.Others, type, axis, inverse);

    private static (int Size, int Others)[] HadamardShapes =>
    [
        (1, 3), (2, 5), (4, 1), (8, 17), (64, 1), (96, 33), (192, 16), (576, 5), (1024, 3),
        .. HadamardTables.PublishedOrders.Concat(HadamardTables.ExtensionOrders).Select(order => (order, 2)),
    ];

    private static OperationCase HadamardCase(int size, int others, DType type, HadamardAxis axis, bool inverse)
    {
        (int rows, int columns) = axis == HadamardAxis.Rows ? (others, size) : (size, others);
        string name = $"Hadamard {axis} {(inverse ? "inverse" : "forward")} {rows}x{columns} {type}";
        return new OperationCase("incoherence", name, type == DType.F32 ? 2e-6 : 1e-14, backend =>
        {
            // Columns beyond the matrix: the operation must work on a strided view and leave its surroundings alone.
            const int Margin = 3;
            HadamardFactor factor = HadamardFactors.For(size);
            float[] source = new float[rows * (columns + Margin)], signs = new float[size];
            Philox.Normal(seed: 1, RandomPurpose.Test, item: 0, source);
            Philox.Normal(seed: 1, RandomPurpose.Test, item: 1, signs);
            Tensor input = backend.Allocate(type, rows, columns + Margin), work = backend.Allocate(type, rows, columns + Margin);
            Tensor scale = backend.Allocate(DType.F32, 1, size);
            if (type == DType.F32)
                backend.Upload<float>(source, input);
            else
                backend.Upload<double>(Array.ConvertAll(source, v => (double)v), input);
            backend.Upload<float>(signs, scale);
            return new OperationRun(Execute, Error, rows * columns * Math.Log2(size), 2 * work.Bytes, Release);

            void Execute()
            {
                backend.Convert(input, work);
                backend.Hadamard(work.SliceColumns(0, columns), factor, scale, axis, inverse);
            }

            double Error()
            {
                double[] expected = new double[rows * columns], actual = Doubles(backend, work);
                for (int i = 0; i < expected.Length; i++)
                    expected[i] = source[i / columns * (columns + Margin) + i % columns];
                HadamardReference.Apply(expected, rows, columns, factor, signs, axis, inverse);
                double rms = Math.Sqrt(expected.Sum(v => v * v) / expected.Length), error = 0;
                for (int i = 0; i < actual.Length; i++)
                {
                    (int r, int c) = Math.DivRem(i, columns + Margin);
                    error = Math.Max(error, Math.Abs(actual[i] - (c < columns ? expected[r * columns + c] : source[i])));
                }
                return error / rms;
            }

            void Release()
            {
                input.Dispose();
                work.Dispose();
                scale.Dispose();
            }
        });
    }

    private static double[] Doubles(IBackend backend, Tensor tensor)
    {
        double[] values = new double[tensor.Length];
        if (tensor.Type == DType.F64)
        {
            backend.Download<double>(tensor, values);
            return values;
        }
        float[] single = new float[tensor.Length];
        backend.Download<float>(tensor, single);
        return Array.ConvertAll(single, v => (double)v);
    }
}
