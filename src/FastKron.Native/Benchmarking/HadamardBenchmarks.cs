using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Incoherence;

namespace FastKron.Native.Benchmarking;

/// <summary>In-place transforms with signs of 256 MB, along rows and along columns, for the sizes that models have.</summary>
internal static class HadamardBenchmarks
{
    private const int Elements = 1 << 26;   // 256 MB of float32

    private static readonly int[] Sizes = [512, 1024, 4096, 8192, 576, 1536, 2048, 3072, 14336, 9728, 12288, 17408, 11008];

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        foreach (int size in Sizes)
        {
            HadamardFactor factor = HadamardFactors.For(size);
            int others = Elements / size / 32 * 32;
            foreach (HadamardAxis axis in Enum.GetValues<HadamardAxis>())
            {
                Tensor x = axis == HadamardAxis.Rows ? BenchmarkData.Normal(backend, DType.F32, others, size) : BenchmarkData.Normal(backend, DType.F32, size, others);
                Tensor scale = BenchmarkData.Normal(backend, DType.F32, 1, size, scale: 0);
                backend.Fill(scale, -1);
                string name = $"{axis}/{size}={factor.BaseOrder}x{factor.PowerOfTwo}".ToLowerInvariant();
                yield return new TimedOperation(name, BenchmarkUnit.GigabytesPerSecond, () => backend.Hadamard(x, factor, scale, axis, inverse: false), x, scale) { Bytes = 2 * x.Bytes };
            }
        }
    }
}
