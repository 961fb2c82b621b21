using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Incoherence;

/// <summary>The random rotation of one side of a matrix, Q = S·U: random signs, then the Hadamard matrix; before it, if wanted, a diagonal scaling.</summary>
/// <remarks>
/// W_r = Q_outᵀ D_out W D_in Q_in, H_r = Qᵀ D⁻¹ H D⁻¹ Q, so tr(E B Eᵀ A) does not change; without scaling, traces and mean diagonals do not either.
/// Source: QuIP#, arXiv:2402.04396, section 3.
/// </remarks>
public sealed class RandomHadamard : IDisposable
{
    private readonly IBackend _backend;
    private readonly HadamardFactor _factor;
    private readonly Tensor _weightScale;
    private readonly Tensor _factorScale;

    private RandomHadamard(IBackend backend, float[] signs, ReadOnlySpan<float> inverseScale)
    {
        _factor = HadamardFactors.For(signs.Length);
        _backend = backend;
        float[] forward = signs, backward = signs;
        if (!inverseScale.IsEmpty)
        {
            (forward, backward) = (new float[signs.Length], new float[signs.Length]);
            for (int i = 0; i < signs.Length; i++)
                (forward[i], backward[i]) = (signs[i] / inverseScale[i], signs[i] * inverseScale[i]);
        }
        Scale = backward;
        _weightScale = Upload(forward);
        _factorScale = ReferenceEquals(forward, backward) ? _weightScale : Upload(backward);
    }

    /// <summary>±1/d per element: what undoes signs and scaling outside the rotated basis, ±1 without scaling.</summary>
    public ReadOnlyMemory<float> Scale { get; }

    /// <summary>Draws the signs of one side of one matrix: Philox words (seed, position, purpose, matrix).</summary>
    /// <param name="backend">Where it rotates.</param>
    /// <param name="size">Elements of the axis.</param>
    /// <param name="seed">The run's rotation seed.</param>
    /// <param name="side"><see cref="RandomPurpose.InputSigns"/> or <see cref="RandomPurpose.OutputSigns"/>.</param>
    /// <param name="matrix">Number of the matrix in the model.</param>
    /// <param name="inverseScale">1/d, positive, of every element; empty for no scaling.</param>
    /// <exception cref="NotSupportedException">No Hadamard matrix of this size.</exception>
    public static RandomHadamard Draw(IBackend backend, int size, ulong seed, RandomPurpose side, uint matrix, ReadOnlySpan<float> inverseScale = default)
    {
        float[] signs = new float[size];
        Philox.Signs(seed, side, matrix, signs);
        return new RandomHadamard(backend, signs, inverseScale);
    }

    /// <summary>Scales and rotates weights in place: rows x ← x D Q, or columns x ← QᵀD x.</summary>
    public void Rotate(Tensor x, HadamardAxis axis) => _backend.Hadamard(x, _factor, _weightScale, axis, inverse: false);

    /// <summary>H ← Qᵀ D⁻¹ H D⁻¹ Q in place. (size, size) F32 or F64.</summary>
    public void RotateBothSides(Tensor h)
    {
        _backend.Hadamard(h, _factor, _factorScale, HadamardAxis.Rows, inverse: false);
        _backend.Hadamard(h, _factor, _factorScale, HadamardAxis.Columns, inverse: false);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _weightScale.Dispose();
        _factorScale.Dispose();
    }

    private Tensor Upload(float[] values)
    {
        Tensor tensor = _backend.Allocate(DType.F32, 1, values.Length);
        _backend.Upload<float>(values, tensor);
        return tensor;
    }
}
