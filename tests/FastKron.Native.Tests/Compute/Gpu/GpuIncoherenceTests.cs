using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Gpu;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Incoherence;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Gpu;

/// <summary>Hadamard transforms of the lengths of real models, too long for the dense reference: compared with the CPU's.</summary>
[RequiresGpu]
public sealed class GpuIncoherenceTests
{
    // One pass in shared memory, two passes, and 52 · 1024, the largest of LLaMA-3; 33 vectors: one beyond a strip.
    [Test]
    public void Hadamard_LongAxis_AgreesWithTheCpu(
        [Values(4096, 14336, 16384, 28672, 53248)] int size, [Values(DType.F32, DType.F64)] DType type, [Values] HadamardAxis axis, [Values] bool inverse)
    {
        const int Vectors = 33, Margin = 1;
        (int rows, int columns) = axis == HadamardAxis.Rows ? (Vectors, size) : (size, Vectors);
        HadamardFactor factor = HadamardFactors.For(size);
        float[] source = new float[rows * (columns + Margin)], scales = new float[size];
        Philox.Normal(seed: 4, RandomPurpose.Test, item: 0, source);
        Philox.Normal(seed: 4, RandomPurpose.Test, item: 1, scales);
        using var cpu = new CpuBackend();
        using var gpu = new GpuBackend();
        float[] expected = Transform(cpu), actual = Transform(gpu);

        // F32: some 20 roundings and a sum of up to 52 terms, each of 6e-8, for the largest of a million numbers; F64 results differ by rounding to F32 alone.
        double rms = Math.Sqrt(expected.Average(v => (double)v * v)), largest = expected.Zip(actual, (a, b) => Math.Abs((double)a - b)).Max();
        Assert.That(largest / rms, Is.LessThan(type == DType.F32 ? 1e-5 : 2e-6));

        float[] Transform(IBackend backend)
        {
            using Tensor single = backend.Allocate(DType.F32, rows, columns + Margin), x = backend.Allocate(type, rows, columns + Margin);
            using Tensor scale = backend.Allocate(DType.F32, 1, size);
            backend.Upload<float>(source, single);
            backend.Upload<float>(scales, scale);
            backend.Convert(single, x);
            backend.Hadamard(x.SliceColumns(0, columns), factor, scale, axis, inverse);
            backend.Convert(x, single);
            float[] result = new float[source.Length];
            backend.Download<float>(single, result);
            return result;
        }
    }
}
