using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Models;

/// <summary>A linear layer with a dense weight matrix.</summary>
public sealed class DenseLinear : ILinear
{
    private readonly IBackend _backend;

    /// <summary>Takes over a weight matrix.</summary>
    /// <param name="backend">Where the weight is.</param>
    /// <param name="name">Module path.</param>
    /// <param name="weight">(m, n), activation type. Owned from now on.</param>
    public DenseLinear(IBackend backend, string name, Tensor weight) => (_backend, Name, Weight) = (backend, name, weight);

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>W (m, n).</summary>
    public Tensor Weight { get; }

    /// <inheritdoc/>
    public int Inputs => Weight.Columns;

    /// <inheritdoc/>
    public int Outputs => Weight.Rows;

    /// <inheritdoc/>
    public long WeightBytes => Weight.Bytes;

    /// <inheritdoc/>
    public void Forward(Tensor x, Tensor y) => _backend.MatMul(x, transposeA: false, Weight, transposeB: true, y);

    /// <inheritdoc/>
    public void BackwardInput(Tensor dy, Tensor dx, bool accumulate) =>
        _backend.MatMul(dy, transposeA: false, Weight, transposeB: false, dx, beta: accumulate ? 1 : 0);

    /// <inheritdoc/>
    public void Dispose() => Weight.Dispose();
}
