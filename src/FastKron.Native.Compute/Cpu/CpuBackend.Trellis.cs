using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public void EncodeTiles(TrellisCodebook codebook, TailBitingWindow window, Tensor targets, Tensor states) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void DecodeTiles(TrellisCodebook codebook, Tensor states, Tensor values) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void DecodeMatrix(TrellisMatrix weights, Tensor dense) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void TrellisMatMul(Tensor x, TrellisMatrix weights, Tensor y) => throw new NotImplementedException();
}
