using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Incoherence;

namespace FastKron.Native.Quantization;

/// <summary>One quantized linear as QTIP stores it: W ≈ diag(SV) U_m Ŵ U_nᵀ diag(SU). Host arrays.</summary>
/// <param name="Name">Module path.</param>
/// <param name="Rows">m.</param>
/// <param name="Columns">n.</param>
/// <param name="Codebook">Code and rate.</param>
/// <param name="Layout">Bit placement.</param>
/// <param name="Codes">(m/16)(n/16) · 16K words.</param>
/// <param name="InputScale">SU, n numbers: signs (divided by d_c with equalisation).</param>
/// <param name="OutputScale">SV, m numbers: sign · Wscale.</param>
/// <param name="Statistics">Errors and seconds; null for weights read back from a checkpoint, which does not hold them.</param>
public sealed record QuantizedWeights(
    string Name, int Rows, int Columns, TrellisCodebook Codebook, TrellisLayout Layout,
    ushort[] Codes, float[] InputScale, float[] OutputScale, RoundingStatistics? Statistics)
{
    /// <summary>Writes the dense matrix that the codes stand for.</summary>
    /// <param name="backend">Decodes and rotates back.</param>
    /// <param name="dense">(m, n) F32, out.</param>
    public void Dequantize(IBackend backend, Tensor dense)
    {
        using Tensor codes = backend.Allocate(DType.U16, Rows / TileDiagonal.TileRows * (Columns / TileDiagonal.TileRows), Codebook.PackedWords);
        using Tensor inputScale = backend.Allocate(DType.F32, 1, Columns);
        using Tensor outputScale = backend.Allocate(DType.F32, 1, Rows);
        backend.Upload<ushort>(Codes, codes);
        backend.Upload<float>(InputScale, inputScale);
        backend.Upload<float>(OutputScale, outputScale);
        backend.DecodeMatrix(new TrellisMatrix(codes, Codebook, Layout, Rows, Columns), dense);
        backend.Hadamard(dense, HadamardFactors.For(Columns), inputScale, HadamardAxis.Rows, inverse: true);
        backend.Hadamard(dense, HadamardFactors.For(Rows), outputScale, HadamardAxis.Columns, inverse: true);
    }
}
