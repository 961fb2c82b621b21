using System.Diagnostics.CodeAnalysis;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>One Kraus operator G_s = D_sᵀX_s for every sequence, made anew from the kept tokens in each half-step, some at a time.</summary>
/// <remarks>
/// Two forms, of which a half-step takes the one of less work. Stacks: Σ G_s V G_sᵀ over gradients that are made first. Token-Gram: the same as
/// Σ D_sᵀ M_s D_s with M_s = X_s V X_sᵀ (length, length), without gradients: for sequences that are short beside the linear.
/// Source: YAQA, Tseng et al., arXiv:2505.22988, section 3 (Sketch B).
/// </remarks>
[SuppressMessage("Naming", "CA1711", Justification = "A stream of operators; no System.IO.Stream")]
internal sealed class SequenceStream(IBackend backend, string name, FactorSource source, int outputs, int inputs, long tokens, DType type) : IKrausStore
{
    private const long StackBytes = 1L << 28;
    private const int ChunkTokens = 16384;

    private readonly KeptTokens _tokens = new(backend, outputs, inputs, tokens);

    /// <summary>Whether to take the token-Gram form; null for the form of less work.</summary>
    public bool? TokenGrams { get; init; }

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

    /// <summary>Most bytes of a half-step beside the kept tokens.</summary>
    public static long ScratchBytes(IBackend backend, int outputs, int inputs, DType type, int longest)
    {
        long largest = Math.Max(outputs, inputs), element = backend.ActivationType.Size();
        long stacks = Math.Max(StackBytes, (long)outputs * inputs * type.Size()) + sizeof(float) * largest * largest;
        long chunk = Math.Max(ChunkTokens, longest) * ((long)outputs + inputs) + (long)longest * longest + largest * largest;
        return Math.Max(stacks, chunk * element);
    }

    /// <inheritdoc/>
    public void Append(MicroBatch batch, Tensor x, Tensor d) => _tokens.Append(batch, x, d);

    /// <inheritdoc/>
    public void Apply(KroneckerSide side, Tensor v, Tensor result)
    {
        if (TokenGrams ?? IsLessWork(side, hasFactor: true, triangular: false))
            SumTokens(side, v, isRoot: false, result);
        else
            SumStacks(result, (stack, gradients, sum) => backend.KroneckerApply(stack, gradients, side, v, sum));
        HalfSteps++;
    }

    /// <inheritdoc/>
    public void Gram(KroneckerSide side, Tensor? root, Tensor result)
    {
        if (TokenGrams ?? IsLessWork(side, root is not null, triangular: true))
            SumTokens(side, root, isRoot: true, result);
        else
            SumStacks(result, (stack, gradients, sum) => backend.KroneckerGram(stack, gradients, side, root, sum));
        HalfSteps++;
    }

    /// <inheritdoc/>
    /// <remarks>Not known: it is a sum over all pairs of sequences.</remarks>
    public double? FisherNorm() => null;

    /// <inheritdoc/>
    public void Dispose() => _tokens.Dispose();

    // Floating-point operations of both forms; the token-Gram form does not use that a factor is a triangle.
    private bool IsLessWork(KroneckerSide side, bool hasFactor, bool triangular)
    {
        (double given, double produced) = side == KroneckerSide.Rows ? (inputs, outputs) : (outputs, inputs);
        double all = _tokens.Sequences.Sum(s => (double)s.Length), squares = _tokens.Sequences.Sum(s => (double)s.Length * s.Length), weights = given * produced;
        double first = !hasFactor ? 0 : triangular ? 1 : 2;
        double stacks = 2 * all * weights + Operators * weights * (first * given + produced);
        double grams = (hasFactor ? 2 * all * given * given : 0) + 2 * squares * (given + produced) + all * produced * produced;
        return grams < stacks;
    }

    private void SumStacks(Tensor result, Action<Tensor, int, Tensor> multiply)
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
    }

    // Rows, X given and D produced: M_s = (X_s V) X_sᵀ, or Y_s Y_sᵀ with Y = X rootᵀ for V = rootᵀ root; result ← Σ D_sᵀ (M_s D_s), one product for all.
    private void SumTokens(KroneckerSide side, Tensor? factor, bool isRoot, Tensor result)
    {
        (Tensor given, Tensor produced) = side == KroneckerSide.Rows ? (_tokens.X, _tokens.D) : (_tokens.D, _tokens.X);
        DType narrow = given.Type;
        using Tensor? converted = factor is null ? null : backend.Allocate(narrow, factor.Rows, factor.Columns);
        if (converted is not null)
            backend.Convert(factor!, converted);
        int longest = _tokens.Sequences.Max(s => s.Length), most = Math.Min(given.Rows, Math.Max(ChunkTokens, longest));
        using Tensor moved = backend.Allocate(narrow, most, given.Columns), mixed = backend.Allocate(narrow, most, produced.Columns);
        using Tensor grams = backend.Allocate(narrow, 1, checked(longest * longest));
        for (int first = 0, next; first < Operators; first = next)
        {
            next = EndOfChunk(first);
            int start = _tokens.Sequences[first].Start, count = _tokens.Sequences[next - 1].Start + _tokens.Sequences[next - 1].Length - start;
            Tensor left = given.SliceRows(start, count);
            if (converted is not null)
            {
                backend.MatMul(left, false, converted, true, moved.SliceRows(0, count));      // V is its own transpose
                left = moved.SliceRows(0, count);
            }
            foreach ((int at, int length) in _tokens.Sequences[first..next])
            {
                Tensor row = left.SliceRows(at - start, length), gram = grams.SliceColumns(0, length * length).Reshape(length, length);
                backend.MatMul(row, false, isRoot ? row : given.SliceRows(at, length), true, gram);
                backend.MatMul(gram, false, produced.SliceRows(at, length), false, mixed.SliceRows(at - start, length));
            }
            backend.SymmetricProduct(produced.SliceRows(start, count), mixed.SliceRows(0, count), result, 1.0 / Operators, first == 0 ? 0 : 1);
        }
    }

    // Sequences from the first on with at most ChunkTokens tokens, one at least.
    private int EndOfChunk(int first)
    {
        int end = first, count = 0;
        while (end < Operators && (end == first || count + _tokens.Sequences[end].Length <= ChunkTokens))
            count += _tokens.Sequences[end++].Length;
        return end;
    }
}
