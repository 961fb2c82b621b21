using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Models;

/// <summary>A linear layer y = x Wᵀ, W (outputs, inputs): dense or quantized.</summary>
public interface ILinear : IDisposable
{
    /// <summary>Module path, for example <c>model.layers.0.self_attn.q_proj</c>.</summary>
    string Name { get; }

    /// <summary>n.</summary>
    int Inputs { get; }

    /// <summary>m.</summary>
    int Outputs { get; }

    /// <summary>y ← x Wᵀ. x (T, n), y (T, m), both of the backend's activation type.</summary>
    void Forward(Tensor x, Tensor y);

    /// <summary>dx ← dy W (+ dx if <paramref name="accumulate"/>). dy (T, m), dx (T, n).</summary>
    void BackwardInput(Tensor dy, Tensor dx, bool accumulate);
}

/// <summary>Sees every linear's inputs and output gradients during a backward pass. FastKron, the sketches, the activation Hessian and error reports are observers.</summary>
public interface ILinearObserver
{
    /// <summary>Called once per linear and batch, while the tensors live.</summary>
    /// <param name="linear">The layer.</param>
    /// <param name="x">(T, n) inputs, activation type.</param>
    /// <param name="d">(T, m) gradient of the loss with respect to the outputs, activation type.</param>
    void Observe(ILinear linear, Tensor x, Tensor d);
}
