using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Incoherence;

/// <summary>The random rotation of one side of a matrix, Q = S·U: random signs, then the Hadamard matrix.</summary>
/// <remarks>W_r = Q_outᵀ W Q_in, H_r = Qᵀ H Q. Traces, mean diagonals and tr(E B Eᵀ A) do not change. Source: QuIP#, arXiv:2402.04396, section 3.</remarks>
public sealed class RandomHadamard : IDisposable
{
    private readonly IBackend _backend;
    private readonly HadamardFactor _factor;
    private readonly Tensor _signs;

    private RandomHadamard(IBackend backend, float[] signs)
    {
        _factor = HadamardFactors.For(signs.Length);
        (_backend, Signs) = (backend, signs);
        _signs = backend.Allocate(DType.F32, 1, signs.Length);
        backend.Upload<float>(signs, _signs);
    }

    /// <summary>±1 per element.</summary>
    public ReadOnlyMemory<float> Signs { get; }

    /// <summary>Draws the signs of one side of one matrix: Philox words (seed, position, purpose, matrix).</summary>
    /// <param name="backend">Where it rotates.</param>
    /// <param name="size">Elements of the axis.</param>
    /// <param name="seed">The run's rotation seed.</param>
    /// <param name="side"><see cref="RandomPurpose.InputSigns"/> or <see cref="RandomPurpose.OutputSigns"/>.</param>
    /// <param name="matrix">Number of the matrix in the model.</param>
    /// <exception cref="NotSupportedException">No Hadamard matrix of this size.</exception>
    public static RandomHadamard Draw(IBackend backend, int size, ulong seed, RandomPurpose side, uint matrix)
    {
        float[] signs = new float[size];
        Philox.Signs(seed, side, matrix, signs);
        return new RandomHadamard(backend, signs);
    }

    /// <summary>Rotates in place: rows x ← xQ, or columns x ← Qᵀx.</summary>
    public void Rotate(Tensor x, HadamardAxis axis) => _backend.Hadamard(x, _factor, _signs, axis, inverse: false);

    /// <summary>H ← Qᵀ H Q in place. (size, size) F32 or F64.</summary>
    public void RotateBothSides(Tensor h)
    {
        Rotate(h, HadamardAxis.Rows);
        Rotate(h, HadamardAxis.Columns);
    }

    /// <inheritdoc/>
    public void Dispose() => _signs.Dispose();
}
