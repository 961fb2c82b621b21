using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarking;

/// <summary>Trellis encoding of Gaussian tiles at the best scale: both windows, packed half and (names that end in f32) float32 costs.</summary>
internal static class EncodeBenchmarks
{
    private const int GpuTiles = 2112, CpuTiles = 64;       // 2112: 16 for each multiprocessor of an H100

    // exllamav3 1.4.1 quantize_tiles and QTIP's PyTorch encoder on an H100, Mweights/s: trellis-formats-and-kernels.md section 6.
    private static readonly Dictionary<(string Code, int Bits), (string Name, double Rate)> Rivals = new()
    {
        [("HYB", 2)] = ("QTIP", 0.86),
        [("HYB", 3)] = ("QTIP", 1.03),
        [("HYB", 4)] = ("QTIP", 0.97),
        [("3INST", 2)] = ("exllamav3 1.4.1", 18.9),
        [("3INST", 3)] = ("exllamav3 1.4.1", 18.9),
        [("3INST", 4)] = ("exllamav3 1.4.1", 19.8),
        [("MUL1", 2)] = ("exllamav3 1.4.1", 16.7),
        [("MUL1", 3)] = ("exllamav3 1.4.1", 19.0),
        [("MUL1", 4)] = ("exllamav3 1.4.1", 20.0),
    };

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        bool cpu = backend.ActivationType == DType.F32;
        foreach (var (code, codebook) in Codes)
        {
            foreach (TailBitingWindow window in new[] { TailBitingWindow.Half, TailBitingWindow.Full })
            {
                foreach (CostPrecision costs in cpu ? [CostPrecision.Exact] : new[] { CostPrecision.PackedHalf, CostPrecision.Exact })
                {
                    int tiles = cpu ? CpuTiles : GpuTiles;
                    Tensor targets = BenchmarkData.Normal(backend, DType.F32, tiles, TrellisCodebook.TileSize, Deviation(codebook));
                    Tensor states = backend.Allocate(DType.U16, tiles, codebook.Steps);
                    string name = $"{code}/K{codebook.Bits}/{(window == TailBitingWindow.Full ? "full" : "window")}{(costs == CostPrecision.Exact ? "/f32" : "")}";
                    double weights = targets.Length;
                    bool known = Rivals.TryGetValue((code, codebook.Bits), out var rival) && !cpu;
                    yield return new TimedOperation(
                        name, BenchmarkUnit.MegaweightsPerSecond, () => backend.EncodeTiles(codebook, window, targets, states, costs), targets, states)
                    {
                        Weights = weights,
                        Rival = known ? rival.Name : null,
                        RivalSeconds = known ? weights / rival.Rate * 1e-6 : null,
                    };
                }
            }
        }
    }

    // The computed codes share their kernels, so above 4 bits one of them stands for all.
    private static IEnumerable<(string Name, TrellisCodebook Codebook)> Codes =>
    [
        .. from bits in Enumerable.Range(2, 3) select ("HYB", TrellisCodes.Hybrid(bits)),
        .. from bits in Enumerable.Range(1, 4) select ("1MAD", TrellisCodes.OneMad(bits)),
        .. from bits in Enumerable.Range(1, 4) select ("3INST", TrellisCodes.ThreeInstructions(bits)),
        .. from bits in Enumerable.Range(1, 4) select ("MCG", TrellisCodes.MultiplicativeCongruence(bits)),
        .. from bits in Enumerable.Range(1, 8) select ("MUL1", TrellisCodes.MultipliedSums(bits)),
    ];

    // The codewords' root mean square: within 20 % of the best scale at every rate.
    private static float Deviation(TrellisCodebook codebook)
    {
        double power = 0;
        foreach (float value in codebook.Values.Span)
            power += (double)value * value;
        return (float)Math.Sqrt(power / codebook.Values.Length);
    }
}
