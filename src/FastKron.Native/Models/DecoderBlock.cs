using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Models;

/// <summary>One decoder block: norm, attention, residual; norm, gated MLP, residual.</summary>
public sealed class DecoderBlock : IDisposable
{
    /// <summary>The seven linears in the order q, k, v, o, gate, up, down.</summary>
    public IReadOnlyList<ILinear> Linears => throw new NotImplementedException();

    /// <summary>hidden ← block(hidden), in place. hidden (T, hidden size), activation type.</summary>
    /// <param name="batch">Positions and attention layout.</param>
    /// <param name="hidden">Overwritten.</param>
    /// <param name="cache">Keys and values of earlier tokens, appended to; null for whole sequences.</param>
    public void Forward(PackedBatch batch, Tensor hidden, Generation.KeyValueCache? cache = null) => throw new NotImplementedException();

    /// <summary>Recomputes the block from its input and backpropagates through it.</summary>
    /// <param name="batch">Positions and attention layout.</param>
    /// <param name="input">(T, hidden size): what <see cref="Forward"/> was given. Not changed.</param>
    /// <param name="gradient">(T, hidden size): in, gradient of the block's output; out, gradient of its input.</param>
    /// <param name="observer">Sees (X, D) of the seven linears.</param>
    public void Backward(PackedBatch batch, Tensor input, Tensor gradient, ILinearObserver observer) => throw new NotImplementedException();

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
    }
}
