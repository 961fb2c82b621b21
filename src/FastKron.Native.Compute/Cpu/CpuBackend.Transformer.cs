using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public void Embedding(Tensor ids, Tensor table, Tensor y) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void RmsNorm(Tensor x, Tensor weight, float epsilon, Tensor y) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void RmsNormBackward(Tensor dy, Tensor x, Tensor weight, float epsilon, Tensor dx, bool accumulate) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Rotary(Tensor x, Tensor positions, Tensor cosines, Tensor sines, int headDimension, bool inverse) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Attention(Tensor q, Tensor k, Tensor v, AttentionLayout layout, Tensor output, Tensor? logSumExp) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void AttentionBackward(Tensor dOutput, Tensor q, Tensor k, Tensor v, Tensor output, Tensor logSumExp, AttentionLayout layout, Tensor dq, Tensor dk, Tensor dv) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void SwiGlu(Tensor gate, Tensor up, Tensor y) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void SwiGluBackward(Tensor dy, Tensor gate, Tensor up, Tensor dGate, Tensor dUp) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Add(Tensor x, Tensor y) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void CrossEntropy(Tensor logits, Tensor labels, Tensor losses) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void CrossEntropyBackward(Tensor logits, Tensor labels, float scale) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void SampleLabels(Tensor logits, ulong seed, RandomPurpose stream, uint firstToken, Tensor labels) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void CompareLogits(Tensor reference, Tensor candidate, Tensor labels, Tensor statistics) => throw new NotImplementedException();
}
