using System.Diagnostics.CodeAnalysis;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Fisher;

/// <summary>One Kraus operator d_t x_tᵀ for every token: the tokens are taken as independent.</summary>
/// <remarks>
/// Rows: (1/T) Σ (x_tᵀ V x_t) d_t d_tᵀ, a Gram matrix with row weights; columns likewise. Cost of a half-step: about T (m² + n²) multiplications
/// and additions. Source: YAQA, Tseng et al., arXiv:2505.22988, section 3 (Sketch A).
/// </remarks>
[SuppressMessage("Naming", "CA1711", Justification = "A stream of operators; no System.IO.Stream")]
internal sealed class TokenStream(IBackend backend, string name, FactorSource source, int outputs, int inputs, long tokens) : IKrausStore
{
    /// <summary>Tokens that are weighed at a time.</summary>
    public const int ChunkTokens = 16384;

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
    public int Operators => _tokens.X.Rows;

    /// <inheritdoc/>
    public DType Type => DType.F32;

    /// <inheritdoc/>
    public int HalfSteps { get; private set; }

    /// <inheritdoc/>
    public void Append(MicroBatch batch, Tensor x, Tensor d) => _tokens.Append(batch, x, d);

    /// <summary>result ← X ᵀX/T (n, n): the second moment of the inputs, without weights.</summary>
    public void InputMoment(Tensor result)
    {
        backend.SymmetricRankK(_tokens.X, transposeA: true, result, 1.0 / Operators, 0);
        HalfSteps++;
    }

    /// <inheritdoc/>
    public void Apply(KroneckerSide side, Tensor v, Tensor result)
    {
        using Tensor narrow = Narrow(v);
        Sum(side, result, (given, products) =>
        {
            backend.MatMul(given, false, narrow, false, products);
            return given;
        });
    }

    /// <inheritdoc/>
    public void Gram(KroneckerSide side, Tensor? root, Tensor result)
    {
        using Tensor? narrow = root is null ? null : Narrow(root);
        Sum(side, result, (given, products) =>
        {
            if (narrow is null)
                backend.Convert(given, products);
            else
                backend.MatMul(given, false, narrow, true, products);
            return products;
        });
    }

    /// <inheritdoc/>
    /// <remarks>Not known: it is a sum over all pairs of tokens.</remarks>
    public double? FisherNorm() => null;

    /// <inheritdoc/>
    public void Dispose() => _tokens.Dispose();

    // The weight of a token is the product of its row of `products` and of what `multiply` returns.
    private void Sum(KroneckerSide side, Tensor result, Func<Tensor, Tensor, Tensor> multiply)
    {
        (Tensor given, Tensor produced) = side == KroneckerSide.Rows ? (_tokens.X, _tokens.D) : (_tokens.D, _tokens.X);
        int chunk = Math.Min(ChunkTokens, Operators);
        using Tensor allProducts = backend.Allocate(DType.F32, chunk, given.Columns), allWeighed = backend.Allocate(produced.Type, chunk, produced.Columns);
        for (int first = 0; first < Operators; first += chunk)
        {
            int count = Math.Min(chunk, Operators - first);
            Tensor products = allProducts.SliceRows(0, count), weighed = allWeighed.SliceRows(0, count);
            Tensor other = multiply(given.SliceRows(first, count), products);
            backend.WeighRows(products, other, produced.SliceRows(first, count), weighed);
            backend.SymmetricRankK(weighed, transposeA: true, result, 1.0 / Operators, first == 0 ? 0 : 1);
        }
        HalfSteps++;
    }

    private Tensor Narrow(Tensor matrix)
    {
        Tensor narrow = backend.Allocate(backend.ActivationType, matrix.Rows, matrix.Columns);
        backend.Convert(matrix, narrow);
        return narrow;
    }
}
