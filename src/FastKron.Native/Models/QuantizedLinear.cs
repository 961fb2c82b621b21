using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Incoherence;

namespace FastKron.Native.Models;

/// <summary>A linear layer whose weight is trellis codes: y = SV ∘ (U_m Ŵ U_nᵀ (SU ∘ x)), W ≈ diag(SV) U_m Ŵ U_nᵀ diag(SU).</summary>
/// <remarks>Source: QTIP, Tseng et al., arXiv:2406.11235; U from QuIP#, arXiv:2402.04396, section 3.</remarks>
public sealed class QuantizedLinear : ILinear
{
    private readonly IBackend _backend;
    private readonly Workspace _workspace;
    private readonly HadamardFactor _inputTransform, _outputTransform;
    private readonly Tensor _inputScale, _outputScale;   // SU (1, n), SV (1, m), F32
    private readonly TrellisMatrix _codes;

    /// <summary>Copies quantized weights to a backend.</summary>
    /// <exception cref="ArgumentException">Lengths of codes or scales do not fit the shape.</exception>
    internal QuantizedLinear(IBackend backend, QuantizedWeights weights, Workspace workspace)
    {
        (_backend, _workspace, Name, Outputs, Inputs) = (backend, workspace, weights.Name, weights.Rows, weights.Columns);
        int words = weights.Codebook.PackedWords, tiles = weights.Rows / 16 * (weights.Columns / 16);
        if (weights.Codes.Length != (long)tiles * words || weights.InputScale.Length != weights.Columns || weights.OutputScale.Length != weights.Rows)
        {
            throw new ArgumentException($"{weights.Name}: ({weights.Rows}, {weights.Columns}) at {weights.Codebook.Bits} bits needs {(long)tiles * words} code words, "
                + $"{weights.Columns} input and {weights.Rows} output scales; found {weights.Codes.Length}, {weights.InputScale.Length}, {weights.OutputScale.Length}");
        }
        _inputTransform = HadamardFactors.For(weights.Columns);
        _outputTransform = HadamardFactors.For(weights.Rows);
        _inputScale = Upload<float>(DType.F32, weights.InputScale, 1, weights.Columns);
        _outputScale = Upload<float>(DType.F32, weights.OutputScale, 1, weights.Rows);
        _codes = new TrellisMatrix(Upload<ushort>(DType.U16, weights.Codes, tiles, words), weights.Codebook, weights.Layout, weights.Rows, weights.Columns);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public int Inputs { get; }

    /// <inheritdoc/>
    public int Outputs { get; }

    /// <inheritdoc/>
    public long WeightBytes => _codes.Codes.Bytes + _inputScale.Bytes + _outputScale.Bytes;

    /// <inheritdoc/>
    public void Forward(Tensor x, Tensor y)
    {
        // Rows: z = (x ∘ SU) U_n, then z Ŵᵀ, then (· U_mᵀ) ∘ SV.
        Tensor z = _workspace.Get(Scratch.RotatedInput, DType.F32, x.Rows, Inputs);
        Tensor product = y.Type == DType.F32 ? y : _workspace.Get(Scratch.RotatedOutput, DType.F32, y.Rows, Outputs);
        _backend.HadamardRows(x, _inputTransform, _inputScale, inverse: false, z);
        _backend.TrellisMatMul(z, _codes, product);
        _backend.HadamardRows(product, _outputTransform, _outputScale, inverse: true, y);
    }

    /// <inheritdoc/>
    public void BackwardInput(Tensor dy, Tensor dx, bool accumulate)
    {
        // Transposed: z = (dy ∘ SV) U_m, then z Ŵ, then (· U_nᵀ) ∘ SU.
        Tensor z = _workspace.Get(Scratch.CodedOutput, _backend.ActivationType, dy.Rows, Outputs);
        _backend.HadamardRows(dy, _outputTransform, _outputScale, inverse: false, z);
        Tensor weight = _workspace.Get(Scratch.DecodedWeight, _backend.ActivationType, Outputs, Inputs);
        _backend.DecodeMatrix(_codes, weight);
        Tensor wide = _workspace.Get(Scratch.RotatedInput, DType.F32, dy.Rows, Inputs);
        _backend.MatMul(z, transposeA: false, weight, transposeB: false, wide);
        Tensor rotated = accumulate ? _workspace.Get(Scratch.CodedInput, _backend.ActivationType, dy.Rows, Inputs) : dx;
        _backend.HadamardRows(wide, _inputTransform, _inputScale, inverse: true, rotated);
        if (accumulate)
            _backend.Add(rotated, dx);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _inputScale.Dispose();
        _outputScale.Dispose();
        _codes.Codes.Dispose();
    }

    private Tensor Upload<T>(DType type, T[] source, int rows, int columns) where T : unmanaged
    {
        Tensor tensor = _backend.Allocate(type, rows, columns);
        _backend.Upload<T>(source, tensor);
        return tensor;
    }
}
