using System.Runtime.Intrinsics;
using BenchmarkDotNet.Attributes;
using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarks.Compute;

/// <summary>Tail-biting Viterbi encoding, time per weight: one tile on one core at each vector width, and many tiles on all cores.</summary>
[MemoryDiagnoser]
public class ViterbiBenchmarks
{
    private const int Tiles = 64;

    private readonly CpuBackend _backend = new();
    private readonly ushort[] _states = new ushort[128];
    private float[] _tile = [];
    private TrellisCodebook _codebook = null!;
    private ViterbiEncoder _encoder = null!;
    private Tensor _targets = null!;
    private Tensor _allStates = null!;

    [Params(2, 3, 4)]
    public int Bits { get; set; }

    [Params(128, 64)]
    public int Window { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _codebook = TrellisCodes.Hybrid(Bits);
        _encoder = new ViterbiEncoder(_codebook);
        _targets = Tensor.AllocateHost(DType.F32, Tiles, TrellisCodebook.TileSize);
        _allStates = Tensor.AllocateHost(DType.U16, Tiles, _codebook.Steps);
        Philox.Normal(seed: 7, RandomPurpose.Test, item: 0, _targets.AsSpan<float>());
        _tile = _targets.Row<float>(0).ToArray();
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _targets.Dispose();
        _allStates.Dispose();
        _backend.Dispose();
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = TrellisCodebook.TileSize)]
    public ushort[] ScalarReference()
    {
        Viterbi.Encode(_codebook, new TailBitingWindow(Window), _tile, _states);
        return _states;
    }

    [Benchmark(OperationsPerInvoke = TrellisCodebook.TileSize)]
    public ushort[] OneCore1Lane() => Encode<Lanes1, float>();

    [Benchmark(OperationsPerInvoke = TrellisCodebook.TileSize)]
    public ushort[] OneCore4Lanes() => Encode<Lanes128, Vector128<float>>();

    [Benchmark(OperationsPerInvoke = TrellisCodebook.TileSize)]
    public ushort[] OneCore8Lanes() => Encode<Lanes256, Vector256<float>>();

    [Benchmark(OperationsPerInvoke = TrellisCodebook.TileSize)]
    public ushort[] OneCore16Lanes() => Encode<Lanes512, Vector512<float>>();

    [Benchmark(OperationsPerInvoke = Tiles * TrellisCodebook.TileSize)]
    public void AllCores() => _backend.EncodeTiles(_codebook, new TailBitingWindow(Window), _targets, _allStates);

    private ushort[] Encode<TLanes, TVector>()
        where TLanes : struct, IViterbiLanes<TVector>
    {
        _encoder.Encode<TLanes, TVector>(Window / 2, _tile, _states);
        return _states;
    }
}
