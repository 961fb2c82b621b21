using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Incoherence;

namespace FastKron.Native.Benchmarking;

/// <summary>In-place transforms with signs of 256 MB, along rows and along columns, for the sizes that models have.</summary>
internal static class HadamardBenchmarks
{
    private const int Bytes = 256 << 20;

    private static readonly int[] Sizes = [512, 1024, 4096, 8192, 576, 1536, 2048, 3072, 14336, 9728, 12288, 17408, 11008, 4992, 28672];

    // Factors are rotated in float64.
    private static readonly int[] DoubleSizes = [4096, 14336];

    public static IEnumerable<TimedOperation> Cases(IBackend backend) =>
        Sizes.SelectMany(size => Enum.GetValues<HadamardAxis>().Select(axis => Case(backend, DType.F32, size, axis)))
            .Concat(DoubleSizes.SelectMany(size => Enum.GetValues<HadamardAxis>().Select(axis => Case(backend, DType.F64, size, axis))));

    private static TimedOperation Case(IBackend backend, DType type, int size, HadamardAxis axis)
    {
        HadamardFactor factor = HadamardFactors.For(size);
        int others = Bytes / type.Size() / size / 32 * 32;
        Tensor x = axis == HadamardAxis.Rows ? BenchmarkData.Normal(backend, type, others, size) : BenchmarkData.Normal(backend, type, size, others);
        Tensor scale = BenchmarkData.Normal(backend, DType.F32, 1, size, scale: 0);
        backend.Fill(scale, -1);
        string name = $"{axis}/{(type == DType.F64 ? "f64/" : "")}{size}={factor.BaseOrder}x{factor.PowerOfTwo}".ToLowerInvariant();
        return new TimedOperation(name, BenchmarkUnit.GigabytesPerSecond, () => backend.Hadamard(x, factor, scale, axis, inverse: false), x, scale) { Bytes = 2 * x.Bytes };
    }
}
