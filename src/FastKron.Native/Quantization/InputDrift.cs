using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;

namespace FastKron.Native.Quantization;

/// <summary>How far rounding the matrices before them has moved the inputs of some linears, and the weights that make up for it.</summary>
/// <remarks>
/// On the inputs x̂ of the partly quantized model a linear is to give what W gave on the original's x; one that adds to the residual stream is to take
/// back the stream's own drift h − ĥ, too. Over all real Ŵ, E‖Ŵx̂ − (Wx + h − ĥ)‖² is least, whatever the metric of the outputs, at
/// W + E[(W(x − x̂) + h − ĥ) x̂ᵀ] E[x̂ x̂ᵀ]⁻¹. Source: GPTAQ, arXiv:2504.02692, for the inputs; the term of the residual stream is ours.
/// </remarks>
internal sealed class InputDrift : IDisposable
{
    // Added to the diagonal of E[x̂ x̂ᵀ], over its mean: directions that no input has keep their weights.
    private const double Ridge = 0.01;

    private readonly IBackend _backend;
    private readonly long _tokens;
    private readonly Tensor _moment;    // E[x̂ x̂ᵀ]
    private readonly Tensor _inputs;    // E[(x − x̂) x̂ᵀ]
    private readonly Tensor? _stream;   // E[(h − ĥ) x̂ᵀ]
    private Tensor? _root;              // K with KᵀK = (E[x̂ x̂ᵀ] + λI)⁻¹

    /// <summary>Starts sums at zero.</summary>
    /// <param name="backend">Where everything lies.</param>
    /// <param name="inputs">n of the linears.</param>
    /// <param name="streamWidth">Elements of the residual stream if the linears add to it; else 0.</param>
    /// <param name="tokens">Tokens that will be added in all.</param>
    public InputDrift(IBackend backend, int inputs, int streamWidth, long tokens)
    {
        (_backend, _tokens) = (backend, tokens);
        _moment = Zero(inputs, inputs);
        _inputs = Zero(inputs, inputs);
        _stream = streamWidth > 0 ? Zero(streamWidth, inputs) : null;
    }

    /// <summary>Most bytes that it holds.</summary>
    public static long Bytes(long inputs, long streamWidth) => inputs * (sizeof(float) * (3 * inputs + streamWidth) + sizeof(double) * inputs);

    /// <summary>Adds some tokens.</summary>
    /// <param name="x">(T, n) inputs in the original, activation type.</param>
    /// <param name="moved">x̂, like x.</param>
    /// <param name="h">(T, width) residual stream of the original where the linears add to it; null where they do not.</param>
    /// <param name="movedStream">ĥ, like h.</param>
    public void Add(Tensor x, Tensor moved, Tensor? h, Tensor movedStream)
    {
        _backend.SymmetricRankK(moved, transposeA: true, _moment, 1.0 / _tokens, 1);
        AddProduct(x, moved, moved, _inputs);
        if (_stream is null)
            return;
        ArgumentNullException.ThrowIfNull(h);
        AddProduct(h, movedStream, moved, _stream);
    }

    /// <summary>w ← w + share · what makes up for the drift of all tokens.</summary>
    /// <param name="name">Module path, for messages.</param>
    /// <param name="w">W (m, n) F32; overwritten.</param>
    /// <param name="share">0 … 1.</param>
    /// <exception cref="ArithmeticException">The inputs are not finite.</exception>
    public void Correct(string name, Tensor w, double share)
    {
        _root ??= Root(name);
        using Tensor target = _backend.Allocate(DType.F32, w.Rows, w.Columns), half = _backend.Allocate(DType.F32, w.Rows, w.Columns);
        if (_stream is not null)
            _backend.Convert(_stream, target);
        _backend.MatMul(w, false, _inputs, false, target, beta: _stream is null ? 0 : 1);
        _backend.MatMul(target, false, _root, true, half);
        _backend.MatMul(half, false, _root, false, w, alpha: share, beta: 1);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Tensor? tensor in new[] { _moment, _inputs, _stream, _root })
            tensor?.Dispose();
    }

    // sum ← sum + (a − b)ᵀ x / tokens; the difference is taken in float32.
    private void AddProduct(Tensor a, Tensor b, Tensor x, Tensor sum)
    {
        using Tensor difference = Converted(a, DType.F32);
        using Tensor? wide = b.Type == DType.F32 ? null : Converted(b, DType.F32);
        _backend.Axpy(-1, wide ?? b, difference);
        using Tensor? narrow = x.Type == DType.F32 ? null : Converted(difference, x.Type);
        _backend.MatMul(narrow ?? difference, true, x, false, sum, 1.0 / _tokens, 1);
    }

    private Tensor Converted(Tensor x, DType type)
    {
        Tensor converted = _backend.Allocate(type, x.Rows, x.Columns);
        _backend.Convert(x, converted);
        return converted;
    }

    private Tensor Root(string name)
    {
        using Tensor work = Converted(_moment, DType.F64);
        _backend.AddToDiagonal(work, Ridge * _backend.MeanDiagonal(_moment));
        int failed = _backend.InverseRoot(work, out _);
        if (failed != 0)
            throw new ArithmeticException($"{name}: the second moment of its inputs in the quantized model has no positive pivot at row {failed} of {work.Rows}, expected finite inputs, not all zero");
        return Converted(work, DType.F32);
    }

    private Tensor Zero(int rows, int columns)
    {
        Tensor zero = _backend.Allocate(DType.F32, rows, columns);
        _backend.Fill(zero, 0);
        return zero;
    }
}
