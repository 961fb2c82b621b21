using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Benchmarking;

/// <summary>x · Wᵀ in the activation type: the ceiling, and the products of a LLaMA-3-8B-shaped and a SmolLM2-135M-shaped block.</summary>
internal static class MatMulBenchmarks
{
    private static readonly (int Tokens, int Outputs, int Inputs)[] Shapes =
    [
        (8192, 8192, 8192), (8192, 4096, 4096), (8192, 1024, 4096), (8192, 14336, 4096), (8192, 4096, 14336), (8192, 576, 576), (8192, 1536, 576), (8192, 576, 1536),
    ];

    public static IEnumerable<TimedOperation> Cases(IBackend backend)
    {
        foreach ((int tokens, int outputs, int inputs) in Shapes)
        {
            DType type = backend.ActivationType;
            Tensor x = BenchmarkData.Normal(backend, type, tokens, inputs), weight = BenchmarkData.Normal(backend, type, outputs, inputs), y = backend.Allocate(type, tokens, outputs);
            yield return new TimedOperation($"{tokens}x{outputs}x{inputs}", BenchmarkUnit.TeraflopsPerSecond, () => backend.MatMul(x, transposeA: false, weight, transposeB: true, y), x, weight, y)
            {
                Bytes = x.Bytes + weight.Bytes + y.Bytes,
                Flops = 2.0 * tokens * outputs * inputs,
            };
        }
    }
}
