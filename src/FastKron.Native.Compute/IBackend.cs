using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute;

/// <summary>The one list of numeric operations. Models, solvers and the quantizer are written against it once.</summary>
/// <remarks>
/// Operations enqueue and return; only copies to the host, scalar results and <see cref="Synchronize"/> wait. Matrices are row-major views
/// (<see cref="Tensor"/>). Unless stated, what is written must not overlap another argument, and sums are kept in float32. A shape, type or memory that does
/// not fit throws <see cref="ArgumentException"/> before anything is written; so does an index outside its table on the host. On a device, where looking at
/// indices would mean waiting, the row of such an index becomes NaN. Shapes are (rows, columns); T is the number of tokens.
/// </remarks>
public interface IBackend : IDisposable
{
    /// <summary>What runs the operations, for people: processor or device, threads, instruction set.</summary>
    string Name { get; }

    /// <summary>Kind of device, without its number of threads: equal kinds give equal bytes.</summary>
    string Kind { get; }

    /// <summary>Type in which activations and dense weights are held: F32 on the CPU, BF16 on a GPU.</summary>
    DType ActivationType { get; }

    /// <summary>Whether tensors of <see cref="Allocate"/> lie in host memory.</summary>
    bool IsHost { get; }

    /// <summary>Bytes that <see cref="Allocate"/> could still give: memory of the device, or of the machine.</summary>
    long AvailableBytes { get; }

    /// <summary>Tokens that should go through a model at once: enough to fill the device, and no more memory than that takes.</summary>
    int BatchTokens { get; }

    // ---- Memory ----

    /// <summary>Allocates an uninitialised tensor; the caller disposes it.</summary>
    /// <exception cref="OutOfMemoryException">Message: bytes asked, free, total.</exception>
    Tensor Allocate(DType type, int rows, int columns);

    /// <summary>Copies host elements (row by row, without gaps) into <paramref name="destination"/>, of the same element type.</summary>
    void Upload<T>(ReadOnlySpan<T> source, Tensor destination) where T : unmanaged;

    /// <summary>Copies <paramref name="source"/> to host elements (row by row, without gaps), of the same element type; waits.</summary>
    void Download<T>(Tensor source, Span<T> destination) where T : unmanaged;

    /// <summary>Copies element by element, changing the type where it differs (to nearest even). Same shape; either may have gaps between rows.</summary>
    void Convert(Tensor source, Tensor destination);

    /// <summary>Sets every element to a number, rounded to the type once, to nearest even.</summary>
    /// <exception cref="OverflowException">An integer type that does not hold it.</exception>
    void Fill(Tensor destination, double value);

    /// <summary>Allocates an uninitialised host tensor for <see cref="StartCopy"/>; page-locked where a device copies. The caller disposes it.</summary>
    /// <exception cref="OutOfMemoryException">Message: bytes asked.</exception>
    Tensor AllocateHost(DType type, int rows, int columns);

    /// <summary>Starts a copy between host and device beside the operations; does not wait.</summary>
    /// <param name="source">Without gaps, in host (<see cref="AllocateHost"/>) or device memory.</param>
    /// <param name="destination">Same type and shape, without gaps, in the other memory.</param>
    /// <param name="after">What the copy waits for: it sees nothing else of the order of operations.</param>
    /// <returns>A fence behind the copy. Until it is passed both tensors must stay, the source unchanged.</returns>
    IFence StartCopy(Tensor source, Tensor destination, params ReadOnlySpan<IFence> after);

    /// <summary>A fence behind all operations enqueued so far (not the copies of <see cref="StartCopy"/>), without waiting; the caller disposes it.</summary>
    IFence Mark();

    /// <summary>Makes all operations enqueued from now on wait for a fence; the caller does not wait.</summary>
    void Await(IFence fence);

    /// <summary>Waits until all enqueued work is done, copies too.</summary>
    void Synchronize();

    // ---- Matrix ----

    /// <summary>c ← alpha · op(a) · op(b) + beta · c, op(x) = x or xᵀ.</summary>
    /// <param name="a">(m, k), or (k, m) if transposed.</param>
    /// <param name="transposeA">Whether op(a) = aᵀ.</param>
    /// <param name="b">(k, n), or (n, k) if transposed.</param>
    /// <param name="transposeB">Whether op(b) = bᵀ.</param>
    /// <param name="c">(m, n). a, b, c: each F32, BF16 or F16 with sums in F32, or all F64. Not read when beta is 0.</param>
    /// <param name="alpha">Factor of the product.</param>
    /// <param name="beta">Factor of the old c.</param>
    void MatMul(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c, double alpha = 1, double beta = 0);

    /// <summary>c ← alpha · op(a) · op(a)ᵀ + beta · c: one triangle is computed and mirrored, so the result is exactly symmetric.</summary>
    /// <param name="a">(n, k), or (k, n) if transposed. F32, BF16, F16, or F64 with an F64 c.</param>
    /// <param name="transposeA">Whether op(a) = aᵀ: then c = aᵀ a.</param>
    /// <param name="c">(n, n), F32 or F64; symmetric if beta is not 0.</param>
    /// <param name="alpha">Factor of the product.</param>
    /// <param name="beta">Factor of the old c.</param>
    void SymmetricRankK(Tensor a, bool transposeA, Tensor c, double alpha = 1, double beta = 0);

    /// <summary>c ← alpha · aᵀ b + beta · c where aᵀ b is symmetric: one triangle is computed and mirrored, so the result is exactly symmetric.</summary>
    /// <param name="a">(k, n). F32, BF16, F16, or F64 with an F64 c.</param>
    /// <param name="b">Like a.</param>
    /// <param name="c">(n, n), F32 or F64; symmetric if beta is not 0.</param>
    /// <param name="alpha">Factor of the product.</param>
    /// <param name="beta">Factor of the old c.</param>
    void SymmetricProduct(Tensor a, Tensor b, Tensor c, double alpha = 1, double beta = 0);

    /// <summary>y[t] ← √max(0, ⟨a_t, b_t⟩) · x[t]: yᵀ y is the Gram matrix of x with row weights ⟨a_t, b_t⟩.</summary>
    /// <param name="a">(T, width) F32.</param>
    /// <param name="b">(T, width) F32, or of x's type.</param>
    /// <param name="x">(T, columns), activation type.</param>
    /// <param name="y">Like x, out.</param>
    void WeighRows(Tensor a, Tensor b, Tensor x, Tensor y);

    /// <summary>y ← y + alpha · x. F32 or F64, same shape and type.</summary>
    void Axpy(double alpha, Tensor x, Tensor y);

    /// <summary>y ← x ∘ y, element by element. F32, same shape.</summary>
    void Multiply(Tensor x, Tensor y);

    /// <summary>x ← alpha · x. F32 or F64.</summary>
    void Scale(double alpha, Tensor x);

    /// <summary>Σ x∘y in float64, in an order that does not depend on the number of threads; waits. Any floating types.</summary>
    double Dot(Tensor x, Tensor y);

    /// <summary>x ← x less its parts along an orthonormal basis, by classical Gram–Schmidt done twice. Waits.</summary>
    /// <param name="basis">Vectors q_i of x's shape and type.</param>
    /// <param name="x">F32 or F64, any shape, rows without gaps as the basis'.</param>
    /// <returns>‖x‖ afterwards, products summed in float64 in an order that does not depend on the number of threads.</returns>
    /// <remarks>Source: B. Parlett, "The Symmetric Eigenvalue Problem" (1980), section 6.9: twice is enough.</remarks>
    double Orthogonalize(IReadOnlyList<Tensor> basis, Tensor x);

    /// <summary>Replaces symmetric positive-definite matrices above each other, H = L Lᵀ (lower triangles read), by their inverse roots L⁻¹; the upper triangles
    /// become 0. Does not wait.</summary>
    /// <param name="h">(matrices · n, n) F64.</param>
    /// <param name="logDeterminants">(matrices, 1) F64, out: ln det H.</param>
    /// <param name="failures">(matrices, 1) I32, out: 0, or the 1-based index of the first pivot that is not positive or not finite; then the matrix and its
    /// determinant are undefined.</param>
    /// <remarks>A matrix comes out the same whatever lies beside it.</remarks>
    void InverseRoots(Tensor h, Tensor logDeterminants, Tensor failures);

    /// <summary>Block LDLᵀ of matrices above each other: each H = (I + l) D (I + l)ᵀ, unit diagonal blocks of <paramref name="block"/> rows. Does not wait.</summary>
    /// <param name="h">(matrices · n, n) F64, each symmetric; overwritten with the Cholesky factors.</param>
    /// <param name="block">Rows of a diagonal block; divides n.</param>
    /// <param name="l">(matrices · n, n) F32, out: the strictly block-lower parts, zero elsewhere.</param>
    /// <param name="d">(matrices · n, block) F64, out: the diagonal blocks D_i above each other.</param>
    /// <param name="failures">(matrices, 1) I32, out: as of <see cref="InverseRoots"/>; where it is not 0, the matrix's h, l and d are undefined.</param>
    void BlockLdl(Tensor h, int block, Tensor l, Tensor d, Tensor failures);

    // ---- Transformer: all activations of a call have one type, F32, or on a GPU F32 or BF16; weights of norms, tables and statistics are F32 ----

    /// <summary>y[t] ← table[ids[t]].</summary>
    /// <param name="ids">(1, T) I32.</param>
    /// <param name="table">(vocabulary, hidden).</param>
    /// <param name="y">(T, hidden).</param>
    void Embedding(Tensor ids, Tensor table, Tensor y);

    /// <summary>y ← x / √(mean(x²) + epsilon) ∘ weight, over groups of weight.Columns columns (a row may hold several groups: q/k norms per head).</summary>
    /// <param name="x">(T, groups · width).</param>
    /// <param name="weight">(1, width).</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="y">Like x, out.</param>
    /// <remarks>Source: arXiv:1910.07467.</remarks>
    void RmsNorm(Tensor x, Tensor weight, float epsilon, Tensor y);

    /// <summary>dx ← (accumulate ? dx : 0) + gradient of <see cref="RmsNorm"/> with respect to x.</summary>
    /// <param name="dy">Gradient of y, like x.</param>
    /// <param name="x">As it was given.</param>
    /// <param name="weight">Likewise.</param>
    /// <param name="epsilon">Likewise.</param>
    /// <param name="dx">Like x.</param>
    /// <param name="accumulate">Whether the old dx is kept.</param>
    void RmsNormBackward(Tensor dy, Tensor x, Tensor weight, float epsilon, Tensor dx, bool accumulate);

    /// <summary>Rotates the halves of every head in place: (x1, x2) ← (x1 cos − x2 sin, x2 cos + x1 sin); inverse: with −sin, which is also the backward pass.</summary>
    /// <param name="x">(T, heads · headDimension); overwritten.</param>
    /// <param name="positions">(1, T) I32: row of the tables for each token.</param>
    /// <param name="cosines">(positions, headDimension/2) F32.</param>
    /// <param name="sines">Like cosines.</param>
    /// <param name="headDimension">Elements of a head; even.</param>
    /// <param name="inverse">Rotate back.</param>
    void Rotary(Tensor x, Tensor positions, Tensor cosines, Tensor sines, int headDimension, bool inverse);

    /// <summary>Causal grouped-query attention over packed sequences; softmax scale 1/√headDimension.</summary>
    /// <param name="q">(T, heads · headDimension).</param>
    /// <param name="k">(keys, keyHeads · headDimension).</param>
    /// <param name="v">Like k.</param>
    /// <param name="layout">Heads and the row ranges of each sequence.</param>
    /// <param name="output">(T, heads · headDimension), out.</param>
    /// <param name="logSumExp">(T, heads) F32, out: ln Σ exp(scores), kept for the backward pass; null if not wanted.</param>
    void Attention(Tensor q, Tensor k, Tensor v, AttentionLayout layout, Tensor output, Tensor? logSumExp);

    /// <summary>Gradients of <see cref="Attention"/>. Scores are recomputed from logSumExp.</summary>
    /// <param name="dOutput">Gradient of output, like it.</param>
    /// <param name="q">As it was given, and k, v, output, logSumExp as they were given or came out.</param>
    /// <param name="k">See q.</param>
    /// <param name="v">See q.</param>
    /// <param name="output">See q.</param>
    /// <param name="logSumExp">See q.</param>
    /// <param name="layout">As it was given, with sequences that do not share keys.</param>
    /// <param name="dq">Like q, out.</param>
    /// <param name="dk">Like k, out; 0 for keys that belong to no sequence.</param>
    /// <param name="dv">Like v, out, likewise.</param>
    void AttentionBackward(Tensor dOutput, Tensor q, Tensor k, Tensor v, Tensor output, Tensor logSumExp, AttentionLayout layout, Tensor dq, Tensor dk, Tensor dv);

    /// <summary>y ← gate · σ(gate) ∘ up, element by element; three activations of one shape. Source: arXiv:2002.05202.</summary>
    void SwiGlu(Tensor gate, Tensor up, Tensor y);

    /// <summary>Gradients of <see cref="SwiGlu"/>, dy like y; dGate and dUp, like gate and up, are overwritten.</summary>
    void SwiGluBackward(Tensor dy, Tensor gate, Tensor up, Tensor dGate, Tensor dUp);

    /// <summary>y ← x + y, the residual connection; two activations of one shape.</summary>
    void Add(Tensor x, Tensor y);

    /// <summary>losses[t] ← ln Σ exp(logits[t]) − logits[t, labels[t]]; 0 where the label is negative (ignored).</summary>
    /// <param name="logits">(T, vocabulary).</param>
    /// <param name="labels">(1, T) I32.</param>
    /// <param name="losses">(1, T) F32.</param>
    void CrossEntropy(Tensor logits, Tensor labels, Tensor losses);

    /// <summary>logits ← scale · (softmax(logits) − onehot(labels)); rows with a negative label become 0.</summary>
    /// <param name="logits">(T, vocabulary); overwritten by the gradient.</param>
    /// <param name="labels">(1, T) I32.</param>
    /// <param name="scale">Gradient of a token's loss.</param>
    void CrossEntropyBackward(Tensor logits, Tensor labels, float scale);

    /// <summary>Draws labels[t] from softmax(logits[t]) by the Gumbel argmax: argmax_v logits[t, v] − ln(−ln u), u = Uniform of Philox word v; ties to the lowest v.</summary>
    /// <param name="logits">(T, vocabulary).</param>
    /// <param name="seed">Philox key.</param>
    /// <param name="stream">Philox stream.</param>
    /// <param name="firstToken">Philox item of row 0; row t uses firstToken + t.</param>
    /// <param name="labels">(1, T) I32, out; −1 where a row holds NaN or no logit above −∞.</param>
    /// <remarks>The noise is <see cref="GumbelNoise"/>, bit by bit, so every backend draws the same labels from the same logits.</remarks>
    void SampleLabels(Tensor logits, ulong seed, RandomPurpose stream, uint firstToken, Tensor labels);

    /// <summary>Compares two models' logits row by row: see <see cref="LogitStatistics"/> for the columns written.</summary>
    /// <param name="reference">(T, vocabulary) of the original model.</param>
    /// <param name="candidate">Like reference, of the quantized model.</param>
    /// <param name="labels">(1, T) I32: true next tokens, negative where there is none.</param>
    /// <param name="statistics">(T, <see cref="LogitStatistics.Count"/>) F32, out.</param>
    /// <remarks>A token of probability 0 adds nothing to a divergence; a row with NaN gets NaN divergences and no agreement.</remarks>
    void CompareLogits(Tensor reference, Tensor candidate, Tensor labels, Tensor statistics);

    // ---- Kronecker (hessians-and-rounding.md section 2; stack layout [m][K][n]) ----

    /// <summary>The operator of the rearranged Fisher matrix, dense form: rows: result ← Σ_k G_k V G_kᵀ; columns: result ← Σ_k G_kᵀ V G_k.</summary>
    /// <param name="stack">(m, K·n) BF16 or F32 (or F64 in <c>Reference</c>): row i holds row i of every gradient.</param>
    /// <param name="gradients">K.</param>
    /// <param name="side">Which factor is produced.</param>
    /// <param name="v">(n, n) for rows, (m, m) for columns; symmetric.</param>
    /// <param name="result">(m, m) for rows, (n, n) for columns; F32 (F64 with an F64 stack). Exactly symmetric.</param>
    void KroneckerApply(Tensor stack, int gradients, KroneckerSide side, Tensor v, Tensor result);

    /// <summary>The same in triangular form, V = rootᵀ root: rows: P_k = G_k rootᵀ, result ← Σ P_k P_kᵀ; columns: P_k = root G_k, result ← Σ P_kᵀ P_k.</summary>
    /// <param name="stack">As in <see cref="KroneckerApply"/>.</param>
    /// <param name="gradients">K.</param>
    /// <param name="side">Which factor is produced.</param>
    /// <param name="root">Lower triangular (zero above the diagonal) F32, or F64 with an F64 stack; (n, n) for rows, (m, m) for columns; null for the identity.
    /// For V = B⁻¹ it is that of <see cref="InverseRoots"/> for B (hessians-and-rounding.md calls its transpose R).</param>
    /// <param name="result">As in <see cref="KroneckerApply"/>; positive semidefinite by construction.</param>
    void KroneckerGram(Tensor stack, int gradients, KroneckerSide side, Tensor? root, Tensor result);

    // ---- Incoherence ----

    /// <summary>Randomised Hadamard transform along one axis, in place. Rows: every row x ← (x∘scale)·U, inverse: x ← (x·Uᵀ)∘scale; columns: the same for every column.</summary>
    /// <param name="x">F32 or F64; the transformed axis has <see cref="HadamardFactor.Size"/> elements.</param>
    /// <param name="factor">U = (H_base ⊗ H_Sylvester)/√size.</param>
    /// <param name="scale">(1, size) F32: signs (times scales); null for all ones.</param>
    /// <param name="axis">Which axis is transformed.</param>
    /// <param name="inverse">Use Uᵀ, and the scale after it.</param>
    void Hadamard(Tensor x, HadamardFactor factor, Tensor? scale, HadamardAxis axis, bool inverse);

    /// <summary>y ← the rows of x, each transformed as by <see cref="Hadamard"/> in float32 and rounded once.</summary>
    /// <param name="x">(rows, size) F32, BF16 or F16. Not changed, unless it is <paramref name="y"/>.</param>
    /// <param name="factor">As in <see cref="Hadamard"/>.</param>
    /// <param name="scale">As in <see cref="Hadamard"/>.</param>
    /// <param name="inverse">As in <see cref="Hadamard"/>.</param>
    /// <param name="y">(rows, size) F32, BF16 or F16. Overwritten; x itself, or apart from it.</param>
    void HadamardRows(Tensor x, HadamardFactor factor, Tensor? scale, bool inverse, Tensor y);

    // ---- Trellis (trellis-formats-and-kernels.md section 1) ----

    /// <summary>Best tail-biting trellis path of each 256-weight tile (two-pass Viterbi).</summary>
    /// <param name="codebook">Code and rate.</param>
    /// <param name="window">Weights on each side of the seam used by the first pass.</param>
    /// <param name="targets">(tiles, 256) F32 in sequence order.</param>
    /// <param name="states">(tiles, 256/V) U16, out: the state of every step.</param>
    /// <param name="costs">Arithmetic of the path costs.</param>
    /// <exception cref="ArithmeticException">
    /// A target is NaN or beyond ±2⁵⁹. A backend that enqueues throws it from the next <see cref="Synchronize"/> or <see cref="Download"/>; the tile's states mean nothing then.
    /// </exception>
    void EncodeTiles(TrellisCodebook codebook, TailBitingWindow window, Tensor targets, Tensor states, CostPrecision costs = CostPrecision.Exact);

    /// <summary>values[tile, V·t …] ← codeword of states[tile, t].</summary>
    /// <param name="codebook">Code and rate.</param>
    /// <param name="states">(tiles, 256/V) U16.</param>
    /// <param name="values">(tiles, 256) F32, out.</param>
    void DecodeTiles(TrellisCodebook codebook, Tensor states, Tensor values);

    /// <summary>The bits of some tiles of packed matrices ← their paths; tile t of matrix b has row b · diagonal.Count + t of <paramref name="states"/>.</summary>
    /// <param name="codebook">Code and rate; K·V at most 8.</param>
    /// <param name="layout">Bit placement.</param>
    /// <param name="states">(matrices · tiles, 256/V) U16: closed paths, as <see cref="EncodeTiles"/> gives them.</param>
    /// <param name="diagonal">Where the tiles lie in each matrix.</param>
    /// <param name="codes">(matrices · m/16 · n/16, 16·K) U16, without gaps: matrices above each other.</param>
    /// <param name="tileColumns">n/16.</param>
    void PackTiles(TrellisCodebook codebook, TrellisLayout layout, Tensor states, TileDiagonal diagonal, Tensor codes, int tileColumns);

    /// <summary>dense ← Ŵ, the decoded matrix in code units.</summary>
    /// <param name="weights">Packed codes.</param>
    /// <param name="dense">(rows, columns) F32, BF16 or F16.</param>
    void DecodeMatrix(TrellisMatrix weights, Tensor dense);

    /// <summary>y ← x · Ŵᵀ, decoding on the way.</summary>
    /// <remarks>
    /// A row of x gives the same bits whichever others are there, up to 8 rows. With up to 8, a backend may round x to the 11 bits of float16; with more, x and Ŵ to its
    /// activation type. Sums are in float32.
    /// </remarks>
    /// <param name="x">(T, columns of Ŵ) F32.</param>
    /// <param name="weights">Packed codes.</param>
    /// <param name="y">(T, rows of Ŵ) F32.</param>
    void TrellisMatMul(Tensor x, TrellisMatrix weights, Tensor y);

    // ---- Rounding (hessians-and-rounding.md sections 4.2b and 4.5) ----

    /// <summary>Multipliers r, c > 0 with which the numbers r_i w_ij² c_j have mean 1 in every row and (after enough sweeps) in every column.</summary>
    /// <remarks>Sinkhorn's iteration from c = 1: r_i = 1/mean_j(w_ij² c_j), c_j = 1/mean_i(w_ij² r_i), and r once more at the end; 1 where a mean is 0. Sums in float64.</remarks>
    /// <param name="w">(matrices · m, n) F32 without gaps: matrices above each other.</param>
    /// <param name="sweeps">Updates of c.</param>
    /// <param name="r">(matrices, m) F64, out.</param>
    /// <param name="c">(matrices, n) F64, out.</param>
    void BalanceEnergy(Tensor w, int sweeps, Tensor r, Tensor c);

    /// <summary>Tiles that <see cref="EncodeTiles"/> works on at the same time: with fewer, processors are idle; of more, it takes so many after each other.</summary>
    int TilesAtOnce { get; }

    /// <summary>targets ← T = W + U + V of the tiles of an anti-diagonal, in the order of their paths, where U = E·l_in and V = l_outᵀ·(E + U).</summary>
    /// <remarks>
    /// The anti-diagonals are asked for one after the other, from the bottom right of the matrix to its top left, each followed by <see cref="RoundingErrors"/>.
    /// 2mn(m + n) operations in all. Operands of the terms from far tiles may be rounded to 11 bits of mantissa: against S, that is an error of 1e-3 at most.
    /// Source: YAQA, arXiv:2505.22988, section 3.
    /// </remarks>
    /// <param name="stack">The matrices; U of these tiles is written, other feedback may be.</param>
    /// <param name="diagonal">Which tiles, in every matrix.</param>
    /// <param name="layout">Tells the order of the 256 weights.</param>
    /// <param name="targets">(matrices · tiles, 256) F32, without gaps, out.</param>
    void RoundingTargets(RoundingBatch stack, TileDiagonal diagonal, TrellisLayout layout, Tensor targets);

    /// <summary>Stores what quantizing the tiles of an anti-diagonal did: W ← E = W − Q, U ← Z = E + U, V ← S = T − Q.</summary>
    /// <param name="stack">The matrices.</param>
    /// <param name="diagonal">Which tiles, in every matrix.</param>
    /// <param name="layout">Tells the order of the 256 weights.</param>
    /// <param name="targets">T as <see cref="RoundingTargets"/> left it.</param>
    /// <param name="values">Q(T), like targets.</param>
    void RoundingErrors(RoundingBatch stack, TileDiagonal diagonal, TrellisLayout layout, Tensor targets, Tensor values);

    /// <summary>losses[b] ← Σ_ij tr(D_out,i S_ij D_in,j S_ijᵀ) over the 16 × 16 tiles of matrix b, in float64; an absent D is the identity.</summary>
    /// <param name="s">(matrices · m, n) F32 without gaps: matrices above each other.</param>
    /// <param name="dOut">(matrices · m, 16) F64 without gaps: blocks above each other; or null.</param>
    /// <param name="dIn">(matrices · n, 16) F64 likewise; or null.</param>
    /// <param name="losses">(matrices, 1) F64, out.</param>
    void RoundingLoss(Tensor s, Tensor? dOut, Tensor? dIn, Tensor losses);
}
