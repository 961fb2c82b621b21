using FastKron.Native.Codebooks;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Quantization;

namespace FastKron.Native;

/// <summary>A few seconds' check that a machine computes what the engine means: quantize a small matrix, multiply with it factored and dense.</summary>
public static class SelfTest
{
    /// <summary>Largest accepted relative error of the factored product against the dense one: two orders of float32 sums, or inputs rounded to bf16 (2⁻⁹ each).</summary>
    public static double Tolerance(IBackend backend) => backend.ActivationType == DType.BF16 ? 1e-2 : 1e-4;

    /// <summary>Quantizes a (64, 128) matrix to 2 bits and gives ‖factored − dense‖ / ‖dense‖ of a product with it.</summary>
    public static double Run(IBackend backend)
    {
        const int Rows = 64, Columns = 128, Tokens = 8;
        using Tensor weights = Normal(backend, DType.F32, Rows, Columns, 0), x = Normal(backend, backend.ActivationType, Tokens, Columns, 1);
        QuantizedWeights quantized = new LinearQuantizer(backend, new LinearQuantizerOptions { Codebook = TrellisCodes.Hybrid(2) }).Quantize("self-test", 0, weights, null).Weights;
        using Tensor dense = backend.Allocate(DType.F32, Rows, Columns), expected = backend.Allocate(DType.F32, Tokens, Rows), difference = backend.Allocate(DType.F32, Tokens, Rows);
        quantized.Dequantize(backend, dense);
        backend.MatMul(x, false, dense, true, expected);
        using var workspace = new Workspace(backend);
        using var linear = new QuantizedLinear(backend, quantized, workspace);
        using Tensor y = backend.Allocate(backend.ActivationType, Tokens, Rows);
        linear.Forward(x, y);
        backend.Convert(y, difference);
        backend.Axpy(-1, expected, difference);
        return Math.Sqrt(backend.Dot(difference, difference) / backend.Dot(expected, expected));
    }

    private static Tensor Normal(IBackend backend, DType type, int rows, int columns, uint item)
    {
        float[] values = new float[rows * columns];
        Philox.Normal(0, RandomPurpose.Test, item, values);
        using Tensor wide = backend.Allocate(DType.F32, rows, columns);
        backend.Upload<float>(values, wide);
        Tensor tensor = backend.Allocate(type, rows, columns);
        backend.Convert(wide, tensor);
        return tensor;
    }
}
