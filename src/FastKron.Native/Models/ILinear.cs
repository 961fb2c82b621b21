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

    /// <summary>Bytes of the weights on the backend.</summary>
    long WeightBytes { get; }

    /// <summary>y ← x Wᵀ. x (T, n), y (T, m), both of the backend's activation type.</summary>
    void Forward(Tensor x, Tensor y);

    /// <summary>dx ← dy W (+ dx if <paramref name="accumulate"/>). dy (T, m), dx (T, n).</summary>
    void BackwardInput(Tensor dy, Tensor dx, bool accumulate);
}
