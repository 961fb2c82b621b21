using FastKron.Native.Compute;
using FastKron.Native.Compute.Cpu;
using FastKron.Native.Compute.Tensors;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute.Cpu;

[Category("Simd")]
public sealed class KroneckerTests
{
    private const int M = 24, K = 6, N = 37;

    // hessians-and-rounding.md section 8, invariant 2; float64 sums of some 10⁴ products, bf16 gradients taken exactly but float32 sums.
    [TestCase(DType.F64, 1e-13)]
    [TestCase(DType.BF16, 1e-5)]
    public void KroneckerApply_BothSides_AreAdjoint(DType type, double tolerance)
    {
        using CpuBackend backend = new();
        using MatrixOperands operands = new(backend);
        DType precision = type == DType.F64 ? DType.F64 : DType.F32;
        Tensor stack = operands.ContiguousNormal(type, M, K * N);
        Tensor u = operands.PositiveDefinite(precision, M), v = operands.PositiveDefinite(precision, N);
        Tensor rows = operands.Output(precision, M, M), columns = operands.Output(precision, N, N);
        backend.KroneckerApply(stack, K, KroneckerSide.Rows, v, rows);
        backend.KroneckerApply(stack, K, KroneckerSide.Columns, u, columns);
        Assert.That(backend.Dot(rows, u), Is.EqualTo(backend.Dot(columns, v)).Within(100 * tolerance).Percent);
    }

    // Invariant 1: of the gradients √(p_a q_b) u_a v_bᵀ one half-step from any positive V gives A ∝ U diag(p) Uᵀ.
    [Test]
    public void KroneckerApply_ExactlyKroneckerGradients_GivesTheFactor()
    {
        const int Order = 5;
        using CpuBackend backend = new();
        using MatrixOperands operands = new(backend);
        Tensor left = operands.LowerTriangle(DType.F32, Order), right = operands.LowerTriangle(DType.F32, Order);
        Tensor v = operands.PositiveDefinite(DType.F32, Order), stack = operands.ContiguousNormal(DType.F32, Order, Order * Order * Order);
        Tensor result = operands.Output(DType.F32, Order, Order), factor = operands.Output(DType.F32, Order, Order);
        for (int a = 0; a < Order; a++)
        {
            for (int b = 0; b < Order; b++)
                backend.MatMul(left.SliceColumns(a, 1), false, right.SliceColumns(b, 1), true, stack.SliceColumns((a * Order + b) * Order, Order));
        }
        backend.KroneckerApply(stack, Order * Order, KroneckerSide.Rows, v, result);
        backend.SymmetricRankK(left, false, factor);
        double cosine = backend.Dot(result, factor) / Math.Sqrt(backend.Dot(result, result) * backend.Dot(factor, factor));
        Assert.That(cosine, Is.GreaterThan(1 - 1e-6));
    }

    // Invariant 3: Σ P Pᵀ has no negative direction, up to the rounding of float32 sums.
    [Test]
    public void KroneckerGram_FewGradients_IsPositiveSemidefinite([Values] KroneckerSide side)
    {
        using CpuBackend backend = new();
        using MatrixOperands operands = new(backend);
        int produced = side == KroneckerSide.Rows ? M : N, given = side == KroneckerSide.Rows ? N : M;
        Tensor stack = operands.ContiguousNormal(DType.BF16, M, N), root = operands.LowerTriangle(DType.F32, given);
        Tensor result = operands.Output(DType.F32, produced, produced);
        backend.KroneckerGram(stack, 1, side, root, result);
        double largest = operands.Read(result).Max();
        Tensor damped = operands.Holding(operands.Read(result), DType.F64, produced, produced);
        using Tensor ridge = backend.Allocate(DType.F64, produced, 1);
        backend.Fill(ridge, 1e-5 * largest);
        backend.Axpy(1, ridge, damped.Diagonal());
        Assert.That(backend.InverseRoot(damped, out _), Is.Zero);
    }

    // 40 gradients of 200 x 240 do not fit the workspace at once (2²⁰ elements): the sum over blocks equals the sum over single gradients.
    [Test]
    public void Kronecker_MoreGradientsThanFitTheWorkspace_SumsAllOfThem([Values] KroneckerSide side)
    {
        const int Outputs = 200, Inputs = 240, Gradients = 40;
        using CpuBackend backend = new();
        using MatrixOperands operands = new(backend);
        int produced = side == KroneckerSide.Rows ? Outputs : Inputs, given = side == KroneckerSide.Rows ? Inputs : Outputs;
        Tensor stack = operands.ContiguousNormal(DType.BF16, Outputs, Gradients * Inputs), one = operands.ContiguousNormal(DType.BF16, Outputs, Inputs);
        Tensor root = operands.LowerTriangle(DType.F32, given), v = operands.Output(DType.F32, given, given);
        Tensor applied = operands.Output(DType.F32, produced, produced), gram = operands.Output(DType.F32, produced, produced);
        Tensor sum = operands.Holding(new double[produced * produced], DType.F32, produced, produced), term = operands.Output(DType.F32, produced, produced);
        backend.SymmetricRankK(root, true, v);
        backend.KroneckerApply(stack, Gradients, side, v, applied);
        backend.KroneckerGram(stack, Gradients, side, root, gram);
        for (int k = 0; k < Gradients; k++)
        {
            backend.Convert(stack.SliceColumns(k * Inputs, Inputs), one);
            backend.KroneckerGram(one, 1, side, root, term);
            backend.Axpy(1, term, sum);
        }
        double[] expected = operands.Read(sum);

        // Diagonal sums of 9,600 squares in float32: some √9600 roundings.
        Assert.That(operands.Error(gram, expected), Is.LessThan(1e-4));
        Assert.That(operands.Error(applied, expected), Is.LessThan(1e-4));
    }

    [Test]
    public void Kronecker_AnyNumberOfThreads_GivesTheSameBits([Values] KroneckerSide side)
    {
        double[] Results(int threads)
        {
            using CpuBackend backend = new(threads);
            using MatrixOperands operands = new(backend);
            int produced = side == KroneckerSide.Rows ? 130 : 90, given = side == KroneckerSide.Rows ? 90 : 130;
            Tensor stack = operands.ContiguousNormal(DType.BF16, 130, 7 * 90);
            Tensor v = operands.PositiveDefinite(DType.F32, given), root = operands.LowerTriangle(DType.F32, given);
            Tensor applied = operands.Output(DType.F32, produced, produced), gram = operands.Output(DType.F32, produced, produced);
            backend.KroneckerApply(stack, 7, side, v, applied);
            backend.KroneckerGram(stack, 7, side, root, gram);
            return [.. operands.Read(applied), .. operands.Read(gram)];
        }

        Assert.That(Results(4), Is.EqualTo(Results(1)));
    }

    [Test]
    public void Kronecker_ArgumentsThatDoNotFit_ThrowsBeforeWriting()
    {
        using CpuBackend backend = new();
        using MatrixOperands operands = new(backend);
        Tensor stack = operands.ContiguousNormal(DType.BF16, M, K * N), v = operands.PositiveDefinite(DType.F32, N);
        Tensor result = operands.Holding(new double[M * M], DType.F32, M, M);
        Tensor gaps = operands.Normal(DType.BF16, M, K * N), wide = operands.PositiveDefinite(DType.F64, N);
        Assert.That(
            () => backend.KroneckerApply(stack, K + 1, KroneckerSide.Rows, v, result),
            Throws.ArgumentException.With.Message.Contains("7 gradients"));
        Assert.That(
            () => backend.KroneckerApply(stack, K, KroneckerSide.Columns, v, result),
            Throws.ArgumentException.With.Message.Contains("result: expected shape (37, 37)"));
        Assert.That(
            () => backend.KroneckerGram(gaps, K, KroneckerSide.Rows, v, result),
            Throws.ArgumentException.With.Message.Contains("without gaps"));
        Assert.That(
            () => backend.KroneckerGram(stack, K, KroneckerSide.Rows, wide, result),
            Throws.ArgumentException.With.Message.Contains("v: expected F32"));
        Assert.That(operands.Read(result), Is.All.Zero);
    }
}
