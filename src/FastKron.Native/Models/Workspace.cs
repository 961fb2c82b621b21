using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Models;

/// <summary>Scratch tensors of a model, kept between calls: one buffer a slot, grown when a call needs more rows than any before.</summary>
/// <remarks>A tensor of a slot is valid until the slot is asked for again; blocks share one workspace because they run one after the other.</remarks>
internal sealed class Workspace(IBackend backend) : IDisposable
{
    private readonly Tensor?[] _buffers = new Tensor?[Enum.GetValues<Scratch>().Length];
    private readonly Tensor?[] _views = new Tensor?[Enum.GetValues<Scratch>().Length];

    /// <summary>An uninitialised tensor. The same arguments give the same tensor again, without an allocation.</summary>
    public Tensor Get(Scratch slot, DType type, int rows, int columns)
    {
        ref Tensor? buffer = ref _buffers[(int)slot];
        ref Tensor? view = ref _views[(int)slot];
        if (view is not null && view.Type == type && view.Rows == rows && view.Columns == columns)
            return view;
        int length = checked(rows * columns);
        if (buffer is null || buffer.Type != type || buffer.Columns < length)
        {
            buffer?.Dispose();
            buffer = null;
            buffer = backend.Allocate(type, 1, length);
        }
        return view = buffer.SliceColumns(0, length).Reshape(rows, columns);
    }

    /// <summary>Frees all buffers; a slot that is asked for again gets a new one.</summary>
    public void Dispose()
    {
        foreach (Tensor? buffer in _buffers)
            buffer?.Dispose();
        Array.Clear(_buffers);
        Array.Clear(_views);
    }
}

/// <summary>What a scratch tensor holds; a prefix d means the gradient of the loss with respect to it. T rows unless said.</summary>
internal enum Scratch
{
    /// <summary>Input of q, k and v.</summary>
    AttentionInput,

    /// <summary>Queries before their norm (Qwen-3).</summary>
    RawQueries,

    /// <summary>Keys before their norm (Qwen-3).</summary>
    RawKeys,

    /// <summary>Queries as attention takes them.</summary>
    Queries,

    /// <summary>Keys as attention takes them.</summary>
    Keys,

    /// <summary>Values.</summary>
    Values,

    /// <summary>Keys, the shared ones once for each sequence that sees them.</summary>
    SharedKeys,

    /// <summary>Values, like <see cref="SharedKeys"/>.</summary>
    SharedValues,

    /// <summary>Input of o: the attention's output.</summary>
    Mixed,

    /// <summary>(T, heads) logarithms of the attention's denominators.</summary>
    LogSumExp,

    /// <summary>Output of o or down, before it is added to the residual stream.</summary>
    Branch,

    /// <summary>Residual stream between attention and MLP (backward pass).</summary>
    Middle,

    /// <summary>Input of gate and up.</summary>
    MlpInput,

    /// <summary>Output of gate.</summary>
    Gate,

    /// <summary>Output of up.</summary>
    Up,

    /// <summary>Input of down.</summary>
    Gated,

    /// <summary>Gradient of <see cref="Gated"/>.</summary>
    DGated,

    /// <summary>Gradient of <see cref="Gate"/>.</summary>
    DGate,

    /// <summary>Gradient of <see cref="Up"/>.</summary>
    DUp,

    /// <summary>Gradient of <see cref="AttentionInput"/> or <see cref="MlpInput"/>.</summary>
    DNormed,

    /// <summary>Gradient of <see cref="Mixed"/>.</summary>
    DMixed,

    /// <summary>Gradient of <see cref="Queries"/>.</summary>
    DQueries,

    /// <summary>Gradient of <see cref="Keys"/>.</summary>
    DKeys,

    /// <summary>Gradient of <see cref="Values"/>.</summary>
    DValues,

    /// <summary>Gradient of <see cref="RawQueries"/>.</summary>
    DRawQueries,

    /// <summary>Gradient of <see cref="RawKeys"/>.</summary>
    DRawKeys,

    /// <summary>Input of the head, for the rows of a slice.</summary>
    HeadInput,

    /// <summary>Gradient of <see cref="HeadInput"/>.</summary>
    DHeadInput,

    /// <summary>Logits of a slice of rows, F32; then their gradient.</summary>
    Logits,

    /// <summary>Gradient of <see cref="Logits"/> in the activation type, where that is not F32.</summary>
    DLogits,

    /// <summary>Rotated input of a quantized linear, F32.</summary>
    RotatedInput,

    /// <summary>Rotated output of a quantized linear, F32.</summary>
    RotatedOutput,

    /// <summary>Rotated gradient of a quantized linear's input, in the activation type, before it is added.</summary>
    CodedInput,

    /// <summary>Rotated gradient of a quantized linear's output, in the activation type.</summary>
    CodedOutput,

    /// <summary>(outputs, inputs) decoded matrix of a quantized linear (backward pass).</summary>
    DecodedWeight,
}
