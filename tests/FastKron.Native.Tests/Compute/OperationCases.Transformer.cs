using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Tests.Compute;

internal static partial class OperationCases
{
    // Each number is one to three roundings of operands near 1, largest of up to 10⁵ numbers: 6e-8 · 3 · 5.
    private const double ElementwiseTolerance = 1e-6;

    // Sums of 8 to 5000 products in float32: 6e-8 · √5000 for the sum, as much again for the largest of many (6e-6 seen without SIMD).
    private const double SumTolerance = 1e-5;

    // BF16 twins have the same tolerances: the inputs are BF16 numbers, the reference takes them as they are, everything between is float32, and the
    // one rounding of a BF16 result is taken off by TransformerOperands.Error.
    private static IEnumerable<OperationCase> Transformer =>
    [
        .. AttentionCases, .. BFloat16AttentionCases,
        .. from cases in new[] { EmbeddingCases, RmsNormCases, RotaryCases, SwiGluCases, AddCases, CrossEntropyCases, SampleLabelsCases, CompareLogitsCases }
           from item in cases
           from type in new[] { DType.F32, DType.BF16 }
           from aligned in new[] { false, true }
           select item.On(type, aligned),
    ];

    private static IEnumerable<TransformerCase> EmbeddingCases =>
        from shape in new[] { (1, 1, 1), (5, 17, 33), (40, 512, 576), (3, 7, 4104) }
        select new TransformerCase($"Embedding {shape}", 0, operands =>
        {
            var (tokens, vocabulary, hidden) = shape;
            double[] table = operands.Normal(vocabulary * hidden);
            int[] ids = [.. Enumerable.Range(0, tokens).Select(t => (t * 7 + vocabulary - 1) % vocabulary)];
            double[] expected = [.. ids.SelectMany(id => table.AsSpan(id * hidden, hidden).ToArray())];
            Tensor tableTensor = operands.Matrix(table, vocabulary, hidden), idsTensor = operands.Indices(ids), y = operands.Output(tokens, hidden);
            return new(b => b.Embedding(idsTensor, tableTensor, y), () => operands.Error(y, expected), 0, 8.0 * tokens * hidden);
        });

    private static IEnumerable<TransformerCase> RmsNormCases
    {
        get
        {
            // So large that the gradient of a single number, which goes to 0 with it, is not all rounding.
            const float epsilon = 0.25f;
            foreach (var (rows, groups, width) in new[] { (1, 1, 1), (3, 1, 33), (7, 1, 576), (5, 9, 64), (3, 2, 8), (2, 1, 1025), (2, 1, 5000) })
            {
                yield return new TransformerCase($"RmsNorm {rows}x{groups}x{width}", SumTolerance, operands =>
                {
                    double[] x = operands.Normal(rows * groups * width), w = operands.Normal(width), expected = new double[x.Length];
                    for (int i = 0; i < x.Length; i += width)
                        RmsNorm.Forward(x.AsSpan(i, width), w, epsilon, expected.AsSpan(i, width));
                    Tensor xs = operands.Matrix(x, rows, groups * width), ws = operands.Statistics(w, 1, width), y = operands.Output(rows, groups * width);
                    return new(b => b.RmsNorm(xs, ws, epsilon, y), () => operands.Error(y, expected), 4.0 * x.Length, 8.0 * x.Length);
                });
                foreach (bool accumulate in new[] { false, true })
                {
                    yield return new TransformerCase($"RmsNormBackward {rows}x{groups}x{width} {(accumulate ? "add" : "set")}", SumTolerance, operands =>
                    {
                        double[] dy = operands.Normal(rows * groups * width), x = operands.Normal(dy.Length), w = operands.Normal(width);
                        double[] before = operands.Normal(dy.Length), expected = new double[dy.Length];
                        for (int i = 0; i < x.Length; i += width)
                            RmsNorm.Backward(dy.AsSpan(i, width), x.AsSpan(i, width), w, epsilon, expected.AsSpan(i, width));
                        if (accumulate)
                            expected = [.. expected.Zip(before, (gradient, old) => gradient + old)];
                        Tensor dys = operands.Matrix(dy, rows, groups * width), xs = operands.Matrix(x, rows, groups * width);
                        Tensor ws = operands.Statistics(w, 1, width), dx = operands.Matrix(before, rows, groups * width);
                        return new(
                            b => b.RmsNormBackward(dys, xs, ws, epsilon, dx, accumulate), () => operands.Error(dx, expected),
                            11.0 * x.Length, 12.0 * x.Length);
                    });
                }
            }
        }
    }

    private static IEnumerable<TransformerCase> RotaryCases =>
        from shape in new[] { (1, 1, 2), (5, 4, 8), (3, 2, 34), (7, 9, 64) }
        from inverse in new[] { false, true }
        select new TransformerCase($"Rotary {shape} {(inverse ? "inverse" : "forward")}", ElementwiseTolerance, operands =>
        {
            var (tokens, heads, dimension) = shape;
            int half = dimension / 2, tableRows = tokens + 3;
            double[] x = operands.Normal(tokens * heads * dimension), expected = [.. x], angles = operands.Normal(tableRows * half, 3);
            double[] cosines = Array.ConvertAll(angles, a => (double)(float)Math.Cos(a)), sines = Array.ConvertAll(angles, a => (double)(float)Math.Sin(a));
            int[] positions = [.. Enumerable.Range(0, tokens).Select(t => (t * 5 + 2) % tableRows)];
            for (int i = 0; i < tokens * heads; i++)
            {
                int row = positions[i / heads] * half;
                RotaryEmbedding.Rotate(expected.AsSpan(i * dimension, dimension), cosines.AsSpan(row, half), sines.AsSpan(row, half), inverse);
            }
            Tensor xs = operands.Matrix(x, tokens, heads * dimension), positionsTensor = operands.Indices(positions);
            Tensor cosinesTensor = operands.Statistics(cosines, tableRows, half), sinesTensor = operands.Statistics(sines, tableRows, half);
            return new(
                b => b.Rotary(xs, positionsTensor, cosinesTensor, sinesTensor, dimension, inverse), () => operands.Error(xs, expected),
                3.0 * x.Length, 8.0 * x.Length);
        });

    private static IEnumerable<TransformerCase> SwiGluCases
    {
        get
        {
            foreach (var (rows, columns) in new[] { (1, 1), (3, 33), (5, 1536), (2, 1025) })
            {
                // Three roundings, 1.8e-7, of products of gates up to 16 and factors up to 4: up to 17 times the root mean square.
                yield return new TransformerCase($"SwiGlu {rows}x{columns}", 3e-6, operands =>
                {
                    double[] gate = operands.Normal(rows * columns, 4), up = operands.Normal(gate.Length), expected = new double[gate.Length];
                    SwiGlu.Forward(gate, up, expected);
                    Tensor gates = operands.Matrix(gate, rows, columns), ups = operands.Matrix(up, rows, columns), y = operands.Output(rows, columns);
                    return new(b => b.SwiGlu(gates, ups, y), () => operands.Error(y, expected), 5.0 * gate.Length, 12.0 * gate.Length);
                });
                // The gradient has the term gate · (1 − σ): σ near 1 is off by 6e-8, gates go up to 16, the other two factors up to 4 each.
                yield return new TransformerCase($"SwiGluBackward {rows}x{columns}", 1.5e-5, operands =>
                {
                    double[] dy = operands.Normal(rows * columns), gate = operands.Normal(dy.Length, 4), up = operands.Normal(dy.Length);
                    double[] dGate = new double[dy.Length], dUp = new double[dy.Length];
                    SwiGlu.Backward(dy, gate, up, dGate, dUp);
                    Tensor dys = operands.Matrix(dy, rows, columns), gates = operands.Matrix(gate, rows, columns);
                    Tensor ups = operands.Matrix(up, rows, columns), dGates = operands.Output(rows, columns), dUps = operands.Output(rows, columns);
                    return new(
                        b => b.SwiGluBackward(dys, gates, ups, dGates, dUps),
                        () => Math.Max(operands.Error(dGates, dGate), operands.Error(dUps, dUp)), 12.0 * gate.Length, 20.0 * gate.Length);
                });
            }
        }
    }

    private static IEnumerable<TransformerCase> AddCases =>
        from shape in new[] { (1, 1), (3, 33), (70, 576), (3, 2056) }
        select new TransformerCase($"Add {shape}", ElementwiseTolerance, operands =>
        {
            var (rows, columns) = shape;
            double[] x = operands.Normal(rows * columns), y = operands.Normal(x.Length), expected = [.. x.Zip(y, (a, b) => a + b)];
            Tensor xs = operands.Matrix(x, rows, columns), ys = operands.Matrix(y, rows, columns);
            return new(b => b.Add(xs, ys), () => operands.Error(ys, expected), x.Length, 12.0 * x.Length);
        });

    private static IEnumerable<TransformerCase> CrossEntropyCases
    {
        get
        {
            foreach (var (rows, vocabulary) in new[] { (1, 1), (7, 33), (40, 2048), (2, 49152), (1, 128256) })
            {
                yield return new TransformerCase($"CrossEntropy {rows}x{vocabulary}", ElementwiseTolerance, operands =>
                {
                    double[] logits = operands.Normal(rows * vocabulary, 4);
                    int[] labels = Labels(rows, vocabulary);
                    double[] expected = [.. labels.Select((label, t) => CrossEntropy.Loss(logits.AsSpan(t * vocabulary, vocabulary), label))];
                    Tensor logitsTensor = operands.Matrix(logits, rows, vocabulary), labelsTensor = operands.Indices(labels);
                    Tensor losses = operands.StatisticsOutput(1, rows);
                    return new(
                        b => b.CrossEntropy(logitsTensor, labelsTensor, losses), () => operands.Error(losses, expected),
                        3.0 * logits.Length, 4.0 * logits.Length);
                });

                // The gradient of the label stands √vocabulary above the root mean square, and its own rounding, 6e-8, with it.
                double tolerance = Math.Max(SumTolerance, 6e-8 * Math.Sqrt(vocabulary));
                yield return new TransformerCase($"CrossEntropyBackward {rows}x{vocabulary}", tolerance, operands =>
                {
                    double[] logits = operands.Normal(rows * vocabulary, 4), expected = [.. logits];
                    int[] labels = Labels(rows, vocabulary);
                    for (int t = 0; t < rows; t++)
                        CrossEntropy.Backward(expected.AsSpan(t * vocabulary, vocabulary), labels[t], 0.25);
                    Tensor logitsTensor = operands.Matrix(logits, rows, vocabulary), labelsTensor = operands.Indices(labels);
                    return new(
                        b => b.CrossEntropyBackward(logitsTensor, labelsTensor, 0.25f), () => operands.Error(logitsTensor, expected),
                        5.0 * logits.Length, 8.0 * logits.Length);
                });
            }
        }
    }

    /// <summary>Labels are defined bit by bit, so any difference is an error.</summary>
    private static IEnumerable<TransformerCase> SampleLabelsCases =>
        from shape in new[] { (1, 1, 1.0), (50, 5, 1.0), (200, 33, 0.0), (60, 2048, 4.0), (20, 2050, 0.0), (2, 49152, 2.0), (1, 128256, 2.0) }
        select new TransformerCase($"SampleLabels {shape}", 0, operands =>
        {
            var (rows, vocabulary, deviation) = shape;
            double[] logits = operands.Normal(rows * vocabulary, deviation);
            float[] narrow = Array.ConvertAll(logits, z => (float)z);
            int[] expected =
            [
                .. Enumerable.Range(0, rows)
                    .Select(t => LabelSampling.Draw(narrow.AsSpan(t * vocabulary, vocabulary), 0x1234_5678_9ABC, RandomPurpose.Labels, 4_000_000_000 + (uint)t)),
            ];
            Tensor logitsTensor = operands.Matrix(logits, rows, vocabulary), labels = operands.Indices(new int[rows]);
            return new(
                b => b.SampleLabels(logitsTensor, 0x1234_5678_9ABC, RandomPurpose.Labels, 4_000_000_000, labels),
                () => operands.ReadIndices(labels).Zip(expected, (a, b) => a != b ? 1 : 0).Sum(), 0, 4.0 * logits.Length);
        });

    private static IEnumerable<TransformerCase> CompareLogitsCases =>
        from shape in new[] { (1, 1), (7, 33), (40, 2048), (2, 49152), (1, 128256) }
        select new TransformerCase($"CompareLogits {shape}", ElementwiseTolerance, operands =>
        {
            var (rows, vocabulary) = shape;
            double[] reference = operands.Normal(rows * vocabulary, 3), noise = operands.Normal(reference.Length, 0.5);
            double[] candidate = [.. reference.Zip(noise, (a, b) => operands.Round(a + b))], expected = new double[rows * LogitStatistics.Count];
            int[] labels = Labels(rows, vocabulary);
            for (int t = 0; t < rows; t++)
            {
                LogitComparison.Compare(
                    reference.AsSpan(t * vocabulary, vocabulary), candidate.AsSpan(t * vocabulary, vocabulary), labels[t],
                    expected.AsSpan(t * LogitStatistics.Count, LogitStatistics.Count));
            }
            Tensor references = operands.Matrix(reference, rows, vocabulary), candidates = operands.Matrix(candidate, rows, vocabulary);
            Tensor labelsTensor = operands.Indices(labels), statistics = operands.StatisticsOutput(rows, LogitStatistics.Count);
            return new(
                b => b.CompareLogits(references, candidates, labelsTensor, statistics), () => operands.Error(statistics, expected),
                12.0 * reference.Length, 8.0 * reference.Length);
        });

    /// <summary>Every fifth token has no label.</summary>
    private static int[] Labels(int rows, int vocabulary) => [.. Enumerable.Range(0, rows).Select(t => t % 5 == 3 ? -100 : t * 11 % vocabulary)];

    private static OperationCase Transform(string name, double tolerance, Func<TransformerOperands, TransformerRun> prepare) =>
        Transform(name, tolerance, backend => new TransformerOperands(backend), prepare);

    private static OperationCase Transform(
        string name, double tolerance, Func<IBackend, TransformerOperands> allocate, Func<TransformerOperands, TransformerRun> prepare) =>
        new("transformer", name, tolerance, backend =>
        {
            TransformerOperands operands = allocate(backend);
            TransformerRun run = prepare(operands);
            return new(() => run.Execute(backend), run.Error, run.Flops, run.Bytes, operands.Dispose);
        });

    private sealed record TransformerRun(Action<IBackend> Execute, Func<double> Error, double Flops, double Bytes);

    private sealed record TransformerCase(string Name, double Tolerance, Func<TransformerOperands, TransformerRun> Prepare)
    {
        /// <summary>The case with activations of a type, in rows that begin anywhere or at multiples of 16 bytes.</summary>
        public OperationCase On(DType type, bool aligned)
        {
            string name = $"{Name}{(type == DType.F32 ? "" : $" {type}")}{(aligned ? " aligned" : "")}";
            OperationCase item = Transform(name, Tolerance, backend => new(backend, type, aligned), operands =>
            {
                TransformerRun run = Prepare(operands);
                return run with { Bytes = run.Bytes * type.Size() / DType.F32.Size() };
            });
            return item with { DeviceOnly = type != DType.F32 || aligned };
        }
    }
}
