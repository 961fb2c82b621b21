using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>A stream of Kraus operators that a backward sweep fills.</summary>
internal interface IKrausStore : IKrausStream, IDisposable
{
    /// <summary>Adds what one linear saw of a micro-batch; micro-batches come in order.</summary>
    /// <param name="batch">Which.</param>
    /// <param name="x">(T, n) inputs.</param>
    /// <param name="d">(T, m) gradients with respect to the outputs.</param>
    void Append(MicroBatch batch, Tensor x, Tensor d);
}
