using System.Diagnostics.CodeAnalysis;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>K minibatch gradients of one linear, G_k = DᵀX (m, n), in the layout [m][K][n] in which every Kronecker product is a plain
/// matrix product.</summary>
/// <remarks>Each gradient is one float32 sum over its minibatch, rounded once to the stack's type. Bytes: m·K·n·2 in BF16.</remarks>
[SuppressMessage("Naming", "CA1711", Justification = "Gradients stacked in one matrix; no collection")]
public sealed class GradientStack : IKrausStore
{
    private readonly Tensor _stack;   // (m, K·n)
    private Tensor? _sum;             // (m, n) F32: the running gradient while its minibatch comes in several pieces
    private bool _pending;

    /// <summary>Allocates an empty stack.</summary>
    /// <param name="backend">Where it lives.</param>
    /// <param name="name">Module path of the linear.</param>
    /// <param name="outputs">m.</param>
    /// <param name="inputs">n.</param>
    /// <param name="capacity">K, at least 1.</param>
    /// <param name="type">BF16 or F32; F64 where the observed tensors are F64.</param>
    public GradientStack(IBackend backend, string name, int outputs, int inputs, int capacity, DType type = DType.BF16)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        if (type is not (DType.BF16 or DType.F32 or DType.F64))
            throw new ArgumentException($"expected BF16, F32 or F64, found {type}", nameof(type));
        (Backend, Name, Outputs, Inputs, Operators) = (backend, name, outputs, inputs, capacity);
        _stack = backend.Allocate(type, outputs, checked(capacity * inputs));
    }

    /// <inheritdoc/>
    public IBackend Backend { get; }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public string Source => FactorSource.FastKron.ToText();

    /// <inheritdoc/>
    public int Outputs { get; }

    /// <inheritdoc/>
    public int Inputs { get; }

    /// <inheritdoc/>
    public int Operators { get; }

    /// <inheritdoc/>
    public DType Type => _stack.Type == DType.F64 ? DType.F64 : DType.F32;

    /// <inheritdoc/>
    public int HalfSteps { get; private set; }

    /// <summary>Complete gradients, at most <see cref="Operators"/>.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of the stack.</summary>
    public long Bytes => _stack.Bytes;

    /// <summary>Adds a piece of the next gradient: G ← G + DᵀX.</summary>
    /// <param name="x">(T, n) inputs.</param>
    /// <param name="d">(T, m) gradients of the minibatch's loss with respect to the outputs.</param>
    /// <param name="last">Whether the minibatch is complete: only then is the sum rounded to the stack's type.</param>
    /// <exception cref="InvalidOperationException">The stack already holds <see cref="Operators"/> gradients.</exception>
    public void Append(Tensor x, Tensor d, bool last = true)
    {
        if (Count == Operators)
            throw new InvalidOperationException($"{Name}: the stack holds {Count} gradients already, as many as it was made for");
        if (last && !_pending)
        {
            Backend.MatMul(d, true, x, false, Gradient(Count++));
            return;
        }
        _sum ??= Backend.Allocate(Type, Outputs, Inputs);
        Backend.MatMul(d, true, x, false, _sum, 1, _pending ? 1 : 0);
        _pending = !last;
        if (last)
            Backend.Convert(_sum, Gradient(Count++));
    }

    /// <inheritdoc/>
    void IKrausStore.Append(MicroBatch batch, Tensor x, Tensor d) => Append(x, d, batch.Last);

    /// <summary>A view of gradient <paramref name="index"/>: (m, n), with gaps between rows.</summary>
    public Tensor Gradient(int index) => _stack.SliceColumns(index * Inputs, Inputs);

    /// <summary>Subtracts the mean of the K gradients from each of them, leaving the covariance of the gradient instead of its second
    /// moment.</summary>
    /// <remarks>The mean is summed in float32; each difference is rounded to the stack's type again.</remarks>
    /// <exception cref="InvalidOperationException">Fewer than two gradients: nothing would be left.</exception>
    public void Center()
    {
        RequireComplete();
        if (Operators < 2)
            throw new InvalidOperationException($"{Name}: centring needs at least two gradients, found {Operators}");
        using Tensor mean = Backend.Allocate(Type, Outputs, Inputs);
        using Tensor gradient = Backend.Allocate(Type, Outputs, Inputs);
        Backend.Fill(mean, 0);
        for (int k = 0; k < Operators; k++)
        {
            Backend.Convert(Gradient(k), gradient);
            Backend.Axpy(1.0 / Operators, gradient, mean);
        }
        for (int k = 0; k < Operators; k++)
        {
            Backend.Convert(Gradient(k), gradient);
            Backend.Axpy(-1, mean, gradient);
            Backend.Convert(gradient, Gradient(k));
        }
    }

    /// <inheritdoc/>
    public void Apply(KroneckerSide side, Tensor v, Tensor result)
    {
        RequireComplete();
        Backend.KroneckerApply(_stack, Operators, side, v, result);
        Finish(result);
    }

    /// <inheritdoc/>
    public void Gram(KroneckerSide side, Tensor? root, Tensor result)
    {
        RequireComplete();
        Backend.KroneckerGram(_stack, Operators, side, root, result);
        Finish(result);
    }

    /// <inheritdoc/>
    public double? FisherNorm()
    {
        RequireComplete();
        using Tensor products = Backend.Allocate(Type, Operators, Operators);   // ⟨G_k, G_l⟩, a sum over the m rows
        for (int i = 0; i < Outputs; i++)
            Backend.SymmetricRankK(_stack.SliceRows(i, 1).Reshape(Operators, Inputs), false, products, 1, i == 0 ? 0 : 1);
        return Backend.Norm(products) / Operators;
    }

    /// <summary>Frees the gradients.</summary>
    public void Dispose()
    {
        _stack.Dispose();
        _sum?.Dispose();
    }

    private void Finish(Tensor result)
    {
        Backend.Scale(1.0 / Operators, result);
        HalfSteps++;
    }

    private void RequireComplete()
    {
        if (Count != Operators)
            throw new InvalidOperationException($"{Name}: the stack holds {Count} of {Operators} gradients");
    }
}
