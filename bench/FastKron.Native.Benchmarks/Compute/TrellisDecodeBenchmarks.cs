using BenchmarkDotNet.Attributes;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarks.Compute;

/// <summary>Decoding a packed matrix to dense float32, and multiplying with it, on all cores. Any bits are a valid matrix.</summary>
[MemoryDiagnoser]
public class TrellisDecodeBenchmarks
{
    private const int Rows = 4096, Columns = 4096;

    private readonly CpuBackend _backend = new();
    private readonly Tensor _dense = Tensor.AllocateHost(DType.F32, Rows, Columns);
    private TrellisMatrix _weights = null!;
    private Tensor _x = null!;
    private Tensor _y = null!;

    [Params("HYB", "MUL1")]
    public string Code { get; set; } = "";

    [Params(2, 4)]
    public int Bits { get; set; }

    [Params(1, 8, 64)]
    public int Tokens { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        bool hybrid = Code == "HYB";
        TrellisCodebook codebook = hybrid ? TrellisCodes.Hybrid(Bits) : TrellisCodes.MultipliedSums(Bits);
        Tensor codes = Tensor.AllocateHost(DType.U16, Rows / 16 * (Columns / 16), codebook.PackedWords);
        Span<ushort> words = codes.AsSpan<ushort>();
        for (int i = 0; i < words.Length; i++)
            words[i] = (ushort)Philox.Word(7, (ulong)i, RandomPurpose.Test, 0);
        _weights = new TrellisMatrix(codes, codebook, hybrid ? TrellisLayout.QtipKernel : TrellisLayout.QtipPlain, Rows, Columns);
        _x = Tensor.AllocateHost(DType.F32, Tokens, Columns);
        _y = Tensor.AllocateHost(DType.F32, Tokens, Rows);
        Philox.Normal(seed: 7, RandomPurpose.Test, item: 1, _x.AsSpan<float>());
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _weights.Codes.Dispose();
        _x.Dispose();
        _y.Dispose();
        _dense.Dispose();
        _backend.Dispose();
    }

    [Benchmark]
    public void DecodeMatrix() => _backend.DecodeMatrix(_weights, _dense);

    [Benchmark]
    public void TrellisMatMul() => _backend.TrellisMatMul(_x, _weights, _y);
}
