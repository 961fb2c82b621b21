using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Incoherence;

namespace FastKron.Native.Quantization;

/// <summary>From codes back to a dense matrix.</summary>
public static class Dequantization
{
    /// <summary>Writes the dense matrix that the codes stand for.</summary>
    /// <param name="weights">Codes, signs and scales.</param>
    /// <param name="backend">Decodes and rotates back.</param>
    /// <param name="dense">(m, n) F32, out.</param>
    public static void Dequantize(this QuantizedWeights weights, IBackend backend, Tensor dense)
    {
        (int rows, int columns) = (weights.Rows, weights.Columns);
        using Tensor codes = backend.Allocate(DType.U16, rows / TileDiagonal.TileRows * (columns / TileDiagonal.TileRows), weights.Codebook.PackedWords);
        using Tensor inputScale = backend.Allocate(DType.F32, 1, columns);
        using Tensor outputScale = backend.Allocate(DType.F32, 1, rows);
        backend.Upload<ushort>(weights.Codes, codes);
        backend.Upload<float>(weights.InputScale, inputScale);
        backend.Upload<float>(weights.OutputScale, outputScale);
        backend.DecodeMatrix(new TrellisMatrix(codes, weights.Codebook, weights.Layout, rows, columns), dense);
        backend.Hadamard(dense, HadamardFactors.For(columns), inputScale, HadamardAxis.Rows, inverse: true);
        backend.Hadamard(dense, HadamardFactors.For(rows), outputScale, HadamardAxis.Columns, inverse: true);
    }
}
