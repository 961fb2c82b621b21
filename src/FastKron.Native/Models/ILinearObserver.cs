using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Models;

/// <summary>Sees every linear's inputs and output gradients during a backward pass. FastKron, the sketches, the activation Hessian and error reports are observers.</summary>
public interface ILinearObserver
{
    /// <summary>Called once per linear and batch, while the tensors live.</summary>
    /// <param name="linear">The layer.</param>
    /// <param name="x">(T, n) inputs, activation type.</param>
    /// <param name="d">(T, m) gradient of the loss with respect to the outputs, activation type.</param>
    void Observe(ILinear linear, Tensor x, Tensor d);
}
