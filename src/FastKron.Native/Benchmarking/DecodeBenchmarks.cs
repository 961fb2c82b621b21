using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarking;

/// <summary>Packed trellis matrices of LLaMA-3-8B's shapes: decoded to dense ones, and multiplied with few rows. Any bits are a valid matrix.</summary>
internal static class DecodeBenchmarks
{
    private const int DrawnWords = 1 << 20;

    private static readonly (int Outputs, int Inputs)[] Shapes = [(4096, 4096), (1024, 4096), (14336, 4096), (4096, 14336)];

    /// <summary>Random codes in the code's usual layout.</summary>
    public static TrellisMatrix RandomMatrix(IBackend backend, TrellisCodebook codebook, int rows, int columns)
    {
        Tensor codes = backend.Allocate(DType.U16, rows / 16 * (columns / 16), codebook.PackedWords);
        ushort[] words = RandomWords(checked((int)codes.Length));
        backend.Upload<ushort>(words, codes);
        return new TrellisMatrix(codes, codebook, codebook.Vector == 2 ? TrellisLayout.QtipKernel : TrellisLayout.QtipPlain, rows, columns);
    }

    /// <summary>One draw of bits, repeated.</summary>
    public static ushort[] RandomWords(int count)
    {
        ushort[] words = new ushort[count];
        for (int i = 0; i < Math.Min(count, DrawnWords); i++)
            words[i] = (ushort)Philox.Word(seed: 0, (ulong)i, RandomPurpose.Test, item: 0);
        for (int i = DrawnWords; i < count; i++)
            words[i] = words[i - DrawnWords];
        return words;
    }

    /// <summary>Decoding alone: bytes read and written against the copy.</summary>
    public static IEnumerable<TimedOperation> DecodeCases(IBackend backend)
    {
        foreach (var (name, codebook) in Codes)
        {
            TrellisMatrix weights = RandomMatrix(backend, codebook, 14336, 4096);
            Tensor dense = backend.Allocate(backend.ActivationType, weights.Rows, weights.Columns);
            yield return new TimedOperation($"{name}/K{codebook.Bits}/14336x4096", BenchmarkUnit.GigabytesPerSecond, () => backend.DecodeMatrix(weights, dense), weights.Codes, dense)
            {
                Bytes = weights.Codes.Bytes + dense.Bytes,
            };
        }
    }

    /// <summary>Products with 1 and 8 rows straight from the codes, beside the dense product of the same shape.</summary>
    public static IEnumerable<TimedOperation> MatMulCases(IBackend backend)
    {
        foreach (var (name, codebook) in Codes)
        {
            foreach ((int outputs, int inputs) in codebook.Vector == 2 ? Shapes : [Shapes[0]])
            {
                foreach (int tokens in new[] { 1, 8 })
                {
                    DType type = backend.ActivationType;
                    TrellisMatrix weights = RandomMatrix(backend, codebook, outputs, inputs);
                    Tensor x = BenchmarkData.Normal(backend, DType.F32, tokens, inputs), y = backend.Allocate(DType.F32, tokens, outputs);
                    Tensor narrow = BenchmarkData.Normal(backend, type, tokens, inputs), dense = BenchmarkData.Normal(backend, type, outputs, inputs);
                    yield return new TimedOperation(
                        $"{name}/K{codebook.Bits}/{tokens}x{outputs}x{inputs}", BenchmarkUnit.Microseconds, () => backend.TrellisMatMul(x, weights, y),
                        weights.Codes, x, y, narrow, dense)
                    {
                        Bytes = weights.Codes.Bytes + x.Bytes + y.Bytes,
                        Rival = $"dense {type}",
                        RunRival = () => backend.MatMul(narrow, transposeA: false, dense, transposeB: true, y),
                    };
                }
            }
        }
    }

    private static IEnumerable<(string Name, TrellisCodebook Codebook)> Codes =>
    [
        .. from bits in Enumerable.Range(2, 3) select ("HYB", TrellisCodes.Hybrid(bits)),
        .. from bits in Enumerable.Range(2, 3) select ("MUL1", TrellisCodes.MultipliedSums(bits)),
        .. from bits in Enumerable.Range(2, 3) select ("3INST", TrellisCodes.ThreeInstructions(bits)),
    ];
}
