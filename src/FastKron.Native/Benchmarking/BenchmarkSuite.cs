using FastKron.Native.Compute;

namespace FastKron.Native.Benchmarking;

/// <summary>Cases that belong together.</summary>
/// <param name="Name">As given to <c>fastkron bench</c> and kept in records.</param>
/// <param name="Description">One line for help.</param>
/// <param name="Cases">Makes the cases one after the other, so that the data of only one lives at a time.</param>
public sealed record BenchmarkSuite(string Name, string Description, Func<IBackend, IEnumerable<TimedOperation>> Cases)
{
    /// <summary>Every suite.</summary>
    public static IReadOnlyList<BenchmarkSuite> All { get; } =
    [
        new("copy", "copies and type changes: the ceiling of memory-bound work", CopyBenchmarks.Cases),
        new("matmul", "dense products: the ceiling of matrix work", MatMulBenchmarks.Cases),
        new("elementwise", "norms, rotary embedding, gates, sums: bytes against the copy", ElementwiseBenchmarks.Cases),
        new("hadamard", "randomised Hadamard transforms of every base order: bytes against the copy", HadamardBenchmarks.Cases),
        new("rounding", "two-sided rounding of matrices that go together, and its feedback alone", RoundingBenchmarks.Cases),
        new("ldl", "block LDLᵀ of Kronecker factors in float64", BlockLdlBenchmarks.Cases),
        new("attention", "causal attention, forward and backward", AttentionBenchmarks.Cases),
        new("encode", "trellis encoding of tiles: every code and rate, both tail-biting windows", EncodeBenchmarks.Cases),
        new("decode", "decoding of packed matrices: bytes against the copy", DecodeBenchmarks.DecodeCases),
        new("trellis-matmul", "products with few rows straight from codes, beside the dense product", DecodeBenchmarks.MatMulCases),
        new("generation", "one token through 32 quantized LLaMA-3-8B-shaped blocks", GenerationBenchmarks.Cases),
        new("kronecker", "half-steps over a stack of gradients, dense and triangular; inverse roots", KroneckerBenchmarks.Cases),
        new("lanczos", "orthogonalisation of Lanczos vectors: bytes against the copy", LanczosBenchmarks.Cases),
        new("block", "forward and backward of one LLaMA-3-8B-shaped decoder block", BlockBenchmarks.Cases),
    ];

    /// <summary>Measures every case, in order, as records.</summary>
    /// <param name="backend">Where to run.</param>
    /// <param name="timer">Times on that backend.</param>
    /// <param name="rivals">Measurements of other programs made in the same session, in milliseconds: those with the suite and case of one of ours are kept in its record.</param>
    /// <param name="command">Kept in the records.</param>
    public IEnumerable<BenchmarkRecord> Run(IBackend backend, OperationTimer timer, IReadOnlyList<BenchmarkRecord> rivals, string command)
    {
        foreach (TimedOperation item in Cases(backend))
        {
            using (item)
            {
                double seconds = timer.Seconds(item.Run), floor = timer.FloorSeconds(item.Bytes, item.Flops);
                BenchmarkRecord? foreign = rivals.FirstOrDefault(r => r.Suite == Name && r.Case == item.Name);
                double? rivalSeconds = item.RunRival is null ? item.RivalSeconds ?? foreign?.Value * 1e-3 : timer.Seconds(item.RunRival);
                yield return new BenchmarkRecord
                {
                    Suite = Name,
                    Case = item.Name,
                    Value = BenchmarkRecord.Rounded(item.Value(seconds)),
                    Unit = item.UnitName,
                    Rival = item.Rival ?? foreign?.Rival,
                    RivalValue = rivalSeconds is { } r ? BenchmarkRecord.Rounded(item.Value(r)) : null,
                    Floor = floor > 0 ? BenchmarkRecord.Rounded(item.Value(floor)) : null,
                    Machine = backend.Name,
                    Command = command,
                };
            }
        }
    }
}
