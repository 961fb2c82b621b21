using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Incoherence;

namespace FastKron.Native.Tests.Compute;

internal static partial class OperationCases
{
    private const int LargestWhole = 1024, SampledOutputs = 64;

    // Errors are relative to the root mean square of the output; normal outputs times normal scales reach 16 of it. F32: about log2(size) roundings, plus a
    // sum of up to 172 terms: below 4e-6 there. F64: 2e-14, and 1e-13 where the reference adds thousands of terms one by one.
    private static IEnumerable<OperationCase> Incoherence =>
        from shape in HadamardShapes
        from type in new[] { DType.F32, DType.F64 }
        from axis in new[] { HadamardAxis.Rows, HadamardAxis.Columns }
        from inverse in new[] { false, true }
        select HadamardCase(shape.Size, shape.Others, shape.Margin, type, axis, inverse);

    // Where both types are aligned or neither is: elsewhere scales are multiplied in another order. Types without a kernel of their own go through float32.
    private static IEnumerable<OperationCase> HadamardRowsCases =>
        from shape in HadamardShapes.Append((Size: 14336, Others: 1, Margin: 0)).Append((Size: 4096, Others: 8, Margin: 0))
        from types in new[] { (DType.BF16, DType.F32), (DType.F32, DType.BF16), (DType.BF16, DType.BF16), (DType.F16, DType.F32), (DType.F32, DType.F32) }
        where types is (DType.BF16, DType.F32) or (DType.F32, DType.BF16) ? shape.Margin == 3 || shape.Size % 8 == 0 : shape.Margin == 0
        select HadamardRowsCase(shape.Size, shape.Others, shape.Margin, types.Item1, types.Item2, inverse: types.Item1 == DType.F32);

    // Margin: columns beyond the matrix. With 3, addresses are aligned to their element only; with 8, to 32 bytes and more.
    private static (int Size, int Others, int Margin)[] HadamardShapes =>
    [
        (1, 3, 3), (2, 5, 3), (4, 1, 3), (8, 17, 3), (64, 1, 3), (96, 33, 3), (192, 16, 3), (576, 5, 3), (1024, 3, 3),
        .. HadamardTables.PublishedOrders.Concat(HadamardTables.ExtensionOrders).Select(order => (order, 2, 3)),
        (4, 12, 8), (64, 20, 8), (96, 40, 8), (128, 36, 8), (192, 20, 8), (320, 36, 8), (512, 20, 8), (576, 40, 8), (1024, 12, 8), (1536, 12, 8), (2048, 44, 8), (4096, 20, 8),
        (4992, 12, 8), (5120, 12, 8), (6144, 12, 8), (8192, 12, 8), (9216, 12, 8), (9728, 12, 8), (10240, 20, 8), (11008, 12, 8), (12288, 12, 8), (14336, 20, 8),
        (4096, 3, 3), (14336, 3, 3), (28672, 4, 8), (65536, 4, 8),
    ];

    private static OperationCase HadamardCase(int size, int others, int margin, DType type, HadamardAxis axis, bool inverse)
    {
        (int rows, int columns) = axis == HadamardAxis.Rows ? (others, size) : (size, others);
        string name = $"Hadamard {axis} {(inverse ? "inverse" : "forward")} {rows}x{columns}+{margin} {type}";
        return new OperationCase("incoherence", name, type == DType.F32 ? 4e-6 : size > LargestWhole ? 1e-13 : 2e-14, backend =>
        {
            // The operation must work on a strided view and leave its surroundings alone.
            int stride = columns + margin;
            HadamardFactor factor = HadamardFactors.For(size);
            float[] source = new float[rows * stride], signs = new float[size];
            Philox.Normal(seed: 1, RandomPurpose.Test, item: 0, source);
            Philox.Normal(seed: 1, RandomPurpose.Test, item: 1, signs);
            Tensor input = backend.Allocate(type, rows, stride), work = backend.Allocate(type, rows, stride);
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
                double[] actual = Doubles(backend, work);
                double squares = 0, error = 0;
                foreach ((int vector, int element) in Outputs(size, others))
                {
                    // Element i of a vector lies at origin + i · step.
                    (int origin, int step) = axis == HadamardAxis.Rows ? (vector * stride, 1) : (vector, stride);
                    double expected = 0;
                    for (int i = 0; i < size; i++)
                    {
                        double value = source[origin + i * step];
                        expected += inverse ? value * HadamardReference.Entry(factor, element, i) : value * signs[i] * HadamardReference.Entry(factor, i, element);
                    }
                    expected *= inverse ? signs[element] : 1;
                    squares += expected * expected;
                    error = Math.Max(error, Math.Abs(actual[origin + element * step] - expected));
                }
                double rms = Math.Sqrt(squares / Outputs(size, others).Count());
                for (int i = 0; i < actual.Length; i++)
                {
                    if (i % stride >= columns)
                        error = Math.Max(error, Math.Abs(actual[i] - source[i]));
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

    // The transform in place, which the cases above compare with the reference, between conversions: to the last bit, and surroundings are left alone.
    private static OperationCase HadamardRowsCase(int size, int rows, int margin, DType from, DType to, bool inverse) =>
        new("incoherence", $"HadamardRows {(inverse ? "inverse" : "forward")} {rows}x{size}+{margin} {from} to {to}", 0, backend =>
        {
            int stride = size + margin;
            HadamardFactor factor = HadamardFactors.For(size);
            float[] source = new float[rows * stride], signs = new float[size], expected = new float[source.Length], actual = new float[source.Length];
            Philox.Normal(seed: 1, RandomPurpose.Test, item: 0, source);
            Philox.Normal(seed: 1, RandomPurpose.Test, item: 1, signs);
            Tensor single = backend.Allocate(DType.F32, rows, stride), x = backend.Allocate(from, rows, stride), y = backend.Allocate(to, rows, stride);
            Tensor scale = backend.Allocate(DType.F32, 1, size), composed = backend.Allocate(to, rows, stride);
            backend.Upload<float>(source, single);
            backend.Upload<float>(signs, scale);
            backend.Convert(single, x);
            return new OperationRun(Execute, Error, rows * size * Math.Log2(size), x.Bytes + y.Bytes, () => TrellisOperands.Release(single, x, y, scale, composed));

            void Execute()
            {
                backend.Fill(y, -1);
                backend.HadamardRows(x.SliceColumns(0, size), factor, scale, inverse, y.SliceColumns(0, size));
            }

            double Error()
            {
                backend.Convert(x, single);
                backend.Hadamard(single.SliceColumns(0, size), factor, scale, HadamardAxis.Rows, inverse);
                backend.Fill(composed, -1);
                backend.Convert(single.SliceColumns(0, size), composed.SliceColumns(0, size));
                Read(composed, expected);
                Read(y, actual);
                return expected.Zip(actual).Count(pair => !pair.First.Equals(pair.Second));
            }

            void Read(Tensor tensor, float[] numbers)
            {
                backend.Convert(tensor, single);
                backend.Download<float>(single, numbers);
            }
        });

    // Which outputs are compared: all of small transforms, of larger ones some of every vector, spread so that every thread and block has its share.
    private static IEnumerable<(int Vector, int Element)> Outputs(int size, int others)
    {
        int step = size <= LargestWhole ? 1 : size / SampledOutputs | 1;
        return
            from vector in Enumerable.Range(0, others)
            from element in Enumerable.Range(0, (size + step - 1) / step)
            select (vector, (element * step + vector) % size);
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
