using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public void MatMul(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c, double alpha = 1, double beta = 0) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void SymmetricRankK(Tensor a, bool transposeA, Tensor c, double alpha = 1, double beta = 0) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Axpy(double alpha, Tensor x, Tensor y) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Scale(double alpha, Tensor x) => throw new NotImplementedException();

    /// <inheritdoc/>
    public double Dot(Tensor x, Tensor y) => throw new NotImplementedException();

    /// <inheritdoc/>
    public int Cholesky(Tensor a) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void TriangularInverse(Tensor l) => throw new NotImplementedException();

    /// <inheritdoc/>
    public int BlockLdl(Tensor h, int block, Tensor l, Tensor d) => throw new NotImplementedException();
}
