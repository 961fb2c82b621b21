using System.Diagnostics.CodeAnalysis;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>One Kraus operator G_s = D_sᵀX_s for every sequence, made anew from the kept tokens in each half-step, some at a time.</summary>
/// <remarks>Source: YAQA, Tseng et al., arXiv:2505.22988, section 3 (Sketch B).</remarks>
[SuppressMessage("Naming", "CA1711", Justification = "A stream of operators; no System.IO.Stream")]
internal sealed class SequenceStream(IBackend backend, string name, FactorSource source, int outputs, int inputs, long tokens, DType type) : IKrausStore
{
    private const long StackBytes = 1L << 28;

    private readonly KeptTokens _tokens = new(backend, outputs, inputs, tokens);

    /// <inheritdoc/>
    public IBackend Backend => backend;

    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public string Source => source.ToText();

    /// <inheritdoc/>
    public int Outputs => outputs;

    /// <inheritdoc/>
    public int Inputs => inputs;

    /// <inheritdoc/>
    public int Operators => _tokens.Sequences.Count;

    /// <inheritdoc/>
    public DType Type => DType.F32;

    /// <inheritdoc/>
    public int HalfSteps { get; private set; }

    /// <summary>Most bytes of a half-step beside the kept tokens: some gradients and one sum.</summary>
    public static long ScratchBytes(int outputs, int inputs, DType type) =>
        Math.Max(StackBytes, (long)outputs * inputs * type.Size()) + sizeof(float) * Math.Max((long)outputs * outputs, (long)inputs * inputs);

    /// <inheritdoc/>
    public void Append(MicroBatch batch, Tensor x, Tensor d) => _tokens.Append(batch, x, d);

    /// <inheritdoc/>
    public void Apply(KroneckerSide side, Tensor v, Tensor result) =>
        Sum(result, (stack, gradients, sum) => backend.KroneckerApply(stack, gradients, side, v, sum));

    /// <inheritdoc/>
    public void Gram(KroneckerSide side, Tensor? root, Tensor result) =>
        Sum(result, (stack, gradients, sum) => backend.KroneckerGram(stack, gradients, side, root, sum));

    /// <inheritdoc/>
    /// <remarks>Not known: it is a sum over all pairs of sequences.</remarks>
    public double? FisherNorm() => null;

    /// <inheritdoc/>
    public void Dispose() => _tokens.Dispose();

    private void Sum(Tensor result, Action<Tensor, int, Tensor> multiply)
    {
        int chunk = (int)Math.Clamp(StackBytes / ((long)outputs * inputs * type.Size()), 1, Operators);
        using Tensor partial = backend.Allocate(DType.F32, result.Rows, result.Columns);
        using Tensor memory = backend.Allocate(type, 1, checked(outputs * chunk * inputs));
        for (int first = 0; first < Operators; first += chunk)
        {
            int count = Math.Min(chunk, Operators - first);
            Tensor stack = memory.SliceColumns(0, outputs * count * inputs).Reshape(outputs, count * inputs);
            for (int k = 0; k < count; k++)
            {
                (int start, int length) = _tokens.Sequences[first + k];
                backend.MatMul(_tokens.D.SliceRows(start, length), true, _tokens.X.SliceRows(start, length), false, stack.SliceColumns(k * inputs, inputs));
            }
            multiply(stack, count, first == 0 ? result : partial);
            if (first > 0)
                backend.Axpy(1, partial, result);
        }
        backend.Scale(1.0 / Operators, result);
        HalfSteps++;
    }
}
