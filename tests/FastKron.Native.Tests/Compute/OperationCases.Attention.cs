using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Tests.Compute;

internal static partial class OperationCases
{
    // e^x of scores up to ±5 whose inner products of 64 terms were rounded (1e-6), then sums over up to 129 keys.
    private const double AttentionTolerance = 1e-5;

    // The output is rounded to 8 bits (2e-3 to 4e-3 of its size), before that each probability; the largest of up to 10⁶ numbers.
    private const double BFloat16AttentionTolerance = 2e-2;

    // Besides those: do·v − δ is a difference of numbers as large as its terms, δ of the rounded output, and is rounded once more.
    private const double BFloat16AttentionGradientTolerance = 6e-2;

    private static IEnumerable<OperationCase> AttentionCases
    {
        get
        {
            (string Name, AttentionLayout Layout)[] layouts =
            [
                ("one number", new(1, 1, 1, [new(0, 1, 0, 1)])),
                ("tiny 4/2 of 8", new(4, 2, 8, [new(0, 5, 0, 5), new(5, 1, 5, 1), new(6, 37, 6, 37)])),
                ("odd 3/1 of 20, one over two tiles", new(3, 1, 20, [new(0, 129, 0, 129)])),
                ("real 9/3 of 64", new(9, 3, 64, [new(0, 70, 0, 70), new(70, 33, 70, 33)])),
                ("decoding 4/2 of 64", new(4, 2, 64, [new(0, 1, 0, 40), new(1, 3, 40, 70), new(4, 0, 110, 5), new(4, 17, 115, 100)])),
                ("longest head 2/1 of 256", new(2, 1, 256, [new(0, 1, 0, 1), new(1, 19, 1, 40)])),
            ];
            foreach (var (name, layout) in layouts)
            {
                yield return Transform($"Attention {name}", AttentionTolerance, operands => AttentionRun(operands, layout, AttentionTolerance));
                yield return Transform($"AttentionBackward {name}", AttentionTolerance, operands => AttentionBackwardRun(operands, layout));
            }
        }
    }

    private static IEnumerable<OperationCase> BFloat16AttentionCases
    {
        get
        {
            (string Name, bool Aligned, AttentionLayout Layout)[] layouts =
            [
                ("tiny 4/2 of 64, 1 and 17", true, new(4, 2, 64, [new(0, 1, 0, 1), new(1, 17, 1, 17)])),
                ("tiny 4/2 of 64, one over a tile", true, new(4, 2, 64, [new(0, 65, 0, 65)])),
                ("tiny 4/2 of 64, 512", true, new(4, 2, 64, [new(0, 512, 0, 512)])),
                ("smollm2 9/3 of 64, packed", true, new(9, 3, 64, [new(0, 70, 0, 70), new(70, 129, 70, 129), new(199, 3, 199, 3)])),
                ("llama 32/8 of 128", true, new(32, 8, 128, [new(0, 256, 0, 256)])),
                ("packed 8/2 of 128", true, new(8, 2, 128, [new(0, 129, 0, 129), new(129, 64, 129, 64), new(193, 9, 193, 9), new(202, 383, 202, 383)])),
                ("cached 4/1 of 128", true, new(4, 1, 128, [new(0, 200, 0, 333), new(200, 16, 340, 300)])),
                ("decoding 8/2 of 128", true, new(8, 2, 128, [new(0, 1, 0, 300), new(1, 9, 300, 140), new(10, 0, 440, 5), new(10, 100, 445, 131)])),
                ("decoding 4/2 of 64", true, new(4, 2, 64, [new(0, 1, 0, 300)])),
                ("unaligned 4/2 of 64", false, new(4, 2, 64, [new(0, 33, 0, 33)])),
                ("unaligned 4/1 of 128", false, new(4, 1, 128, [new(0, 5, 0, 40)])),
                ("tiny 8/4 of 8", true, new(8, 4, 8, [new(0, 37, 0, 37)])),
            ];
            foreach (var (name, aligned, layout) in layouts)
            {
                yield return BFloat16(
                    $"Attention bf16 {name}", BFloat16AttentionTolerance, aligned, operands => AttentionRun(operands, layout, BFloat16AttentionTolerance));
                yield return BFloat16(
                    $"AttentionBackward bf16 {name}", BFloat16AttentionGradientTolerance, aligned, operands => AttentionBackwardRun(operands, layout));
            }
        }
    }

    private static TransformerRun AttentionRun(TransformerOperands operands, AttentionLayout layout, double tolerance)
    {
        var (queries, keys) = Rows(layout);
        int width = layout.Heads * layout.HeadDimension, keyWidth = layout.KeyHeads * layout.HeadDimension;
        double[] q = operands.Normal(queries * width), k = operands.Normal(keys * keyWidth), v = operands.Normal(keys * keyWidth);
        double[] output = new double[q.Length], logSumExp = new double[queries * layout.Heads];
        CausalAttention.Forward(q, k, v, layout, output, logSumExp);
        Tensor qs = operands.Matrix(q, queries, width), ks = operands.Matrix(k, keys, keyWidth), vs = operands.Matrix(v, keys, keyWidth);
        Tensor outputs = operands.Output(queries, width), logSumExps = operands.StatisticsOutput(queries, layout.Heads);
        return new(
            b => b.Attention(qs, ks, vs, layout, outputs, logSumExps),
            // logSumExp is float32 in either type, and held to that.
            () => Math.Max(operands.Error(outputs, output), operands.Error(logSumExps, logSumExp) * (tolerance / AttentionTolerance)),
            4 * Pairs(layout) * width, qs.Type.Size() * 2.0 * (q.Length + k.Length));
    }

    private static TransformerRun AttentionBackwardRun(TransformerOperands operands, AttentionLayout layout)
    {
        var (queries, keys) = Rows(layout);
        int width = layout.Heads * layout.HeadDimension, keyWidth = layout.KeyHeads * layout.HeadDimension;
        double[] q = operands.Normal(queries * width), k = operands.Normal(keys * keyWidth), v = operands.Normal(keys * keyWidth);
        double[] dOutput = operands.Normal(q.Length), output = new double[q.Length], logSumExp = new double[queries * layout.Heads];
        double[] dq = new double[q.Length], dk = new double[k.Length], dv = new double[v.Length];
        CausalAttention.Forward(q, k, v, layout, output, logSumExp);
        CausalAttention.Backward(dOutput, q, k, v, layout, dq, dk, dv);
        Tensor qs = operands.Matrix(q, queries, width), ks = operands.Matrix(k, keys, keyWidth), vs = operands.Matrix(v, keys, keyWidth);
        Tensor dOutputs = operands.Matrix(dOutput, queries, width), outputs = operands.Matrix(output, queries, width);
        Tensor logSumExps = operands.Statistics(logSumExp, queries, layout.Heads);
        Tensor dqs = operands.Output(queries, width), dks = operands.Output(keys, keyWidth), dvs = operands.Output(keys, keyWidth);
        return new(
            b => b.AttentionBackward(dOutputs, qs, ks, vs, outputs, logSumExps, layout, dqs, dks, dvs),
            () => Math.Max(operands.Error(dqs, dq), Math.Max(operands.Error(dks, dk), operands.Error(dvs, dv))),
            10 * Pairs(layout) * width, qs.Type.Size() * 4.0 * (q.Length + k.Length));
    }

    private static (int Queries, int Keys) Rows(AttentionLayout layout) =>
        (layout.Sequences.Sum(s => s.QueryCount), layout.Sequences.Max(s => s.KeyStart + s.KeyCount));

    /// <summary>Visible (query, key) pairs of one head.</summary>
    private static double Pairs(AttentionLayout layout) =>
        layout.Sequences.Sum(s => s.QueryCount * (s.KeyCount - s.QueryCount + (s.QueryCount + 1) / 2.0));

    private static OperationCase BFloat16(string name, double tolerance, bool aligned, Func<TransformerOperands, TransformerRun> prepare) =>
        Transform(name, tolerance, backend => new TransformerOperands(backend, DType.BF16, aligned), prepare) with { DeviceOnly = true };
}
