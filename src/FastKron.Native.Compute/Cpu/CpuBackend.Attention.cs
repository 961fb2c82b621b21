using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public void Attention(Tensor q, Tensor k, Tensor v, AttentionLayout layout, Tensor output, Tensor? logSumExp)
    {
        AttentionArguments.Forward(onHost: true, q, k, v, layout, output, logSumExp);
        AttentionItem[] items = AttentionItem.OfBlocks(layout);
        For(items.Length, i => AttentionForward.Run(items[i], q, k, v, layout, output, logSumExp));
    }

    /// <inheritdoc/>
    public void AttentionBackward(
        Tensor dOutput, Tensor q, Tensor k, Tensor v, Tensor output, Tensor logSumExp, AttentionLayout layout, Tensor dq, Tensor dk, Tensor dv)
    {
        AttentionArguments.Backward(onHost: true, dOutput, q, k, v, output, logSumExp, layout, dq, dk, dv);

        // Keys that no query sees have no gradient.
        Fill(dk, 0);
        Fill(dv, 0);
        var call = new AttentionGradients(dOutput, q, k, v, output, logSumExp, layout, dq, dk, dv);
        AttentionItem[] items = AttentionItem.OfSequences(layout);
        For(items.Length, i => Cpu.AttentionBackward.Run(items[i], call));
    }
}
