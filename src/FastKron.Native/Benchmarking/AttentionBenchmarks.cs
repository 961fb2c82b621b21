using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarking;

/// <summary>Causal attention over packed sequences. Operations: of the pairs that are seen, 4 a pair and head element forward, 10 backward.</summary>
internal static class AttentionBenchmarks
{
    private static readonly (int Sequences, int Length, int Heads, int KeyHeads, int HeadDimension)[] Shapes =
    [
        (4, 2048, 32, 8, 128), (1, 8192, 32, 8, 128), (16, 512, 32, 8, 128), (4, 2048, 9, 3, 64),
    ];

    /// <summary>Operations of one pass over every pair of a query and a key that it sees.</summary>
    public static double ForwardFlops(int sequences, int length, int heads, int headDimension) => 4.0 * sequences * length * (length + 1) / 2 * heads * headDimension;

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        foreach ((int sequences, int length, int heads, int keyHeads, int headDimension) in Shapes)
        {
            int tokens = sequences * length;
            var layout = new AttentionLayout(heads, keyHeads, headDimension, [.. Enumerable.Range(0, sequences).Select(s => new SequenceSpan(s * length, length, s * length, length))]);
            Tensor Matrix(int columns) => BenchmarkData.Normal(backend, backend.ActivationType, tokens, columns);
            int queryColumns = heads * headDimension, keyColumns = keyHeads * headDimension;
            Tensor q = Matrix(queryColumns), k = Matrix(keyColumns), v = Matrix(keyColumns), output = Matrix(queryColumns), logSumExp = backend.Allocate(DType.F32, tokens, heads);
            Tensor dOutput = Matrix(queryColumns), dq = Matrix(queryColumns), dk = Matrix(keyColumns), dv = Matrix(keyColumns);
            double flops = ForwardFlops(sequences, length, heads, headDimension);
            string shape = $"{sequences}x{length}/{heads}-{keyHeads}x{headDimension}";
            yield return new TimedOperation($"forward/{shape}", BenchmarkUnit.TeraflopsPerSecond, () => backend.Attention(q, k, v, layout, output, logSumExp))
            {
                Bytes = q.Bytes + k.Bytes + v.Bytes + output.Bytes,
                Flops = flops,
            };
            yield return new TimedOperation(
                $"backward/{shape}", BenchmarkUnit.TeraflopsPerSecond, () => backend.AttentionBackward(dOutput, q, k, v, output, logSumExp, layout, dq, dk, dv),
                q, k, v, output, logSumExp, dOutput, dq, dk, dv)
            {
                Bytes = 2 * (q.Bytes + k.Bytes + v.Bytes) + output.Bytes + dOutput.Bytes,
                Flops = 2.5 * flops,
            };
        }
    }
}
