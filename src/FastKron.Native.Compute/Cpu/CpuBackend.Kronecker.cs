using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <summary>Elements of the intermediate product of some gradients: it stays in the third-level cache, one gradient at the least.</summary>
    private const int KroneckerWorkspace = 1 << 20;

    /// <inheritdoc/>
    public void KroneckerApply(Tensor stack, int gradients, KroneckerSide side, Tensor v, Tensor result)
    {
        int n = MatrixArguments.Kronecker(onHost: true, stack, gradients, side, v, result), m = stack.Rows;

        // Several gradients side by side make a longer sum for rows; for columns they would have to lie above each other.
        int step = side == KroneckerSide.Rows ? GradientStep(m, gradients, n) : 1;
        using Tensor workspace = Allocate(result.Type, 1, checked(m * n * step));
        for (int first = 0; first < gradients; first += step)
        {
            int count = Math.Min(step, gradients - first);
            Tensor slice = stack.SliceColumns(first * n, count * n), product = workspace.SliceColumns(0, m * n * count).Reshape(m, n * count);
            if (side == KroneckerSide.Rows)
            {
                MultiplyEach(slice, count, new(v, false), product, ProductStructure.General);
                MultiplyLower(new(product, false), new(slice, true), result, first == 0 ? 0 : 1);
            }
            else
            {
                MatMul(v, false, slice, false, product);
                MultiplyLower(new(product, true), new(slice, false), result, first == 0 ? 0 : 1);
            }
        }
        MirrorLowerTriangle(result);
    }

    /// <inheritdoc/>
    public void KroneckerGram(Tensor stack, int gradients, KroneckerSide side, Tensor? root, Tensor result)
    {
        int n = MatrixArguments.Kronecker(onHost: true, stack, gradients, side, root, result), m = stack.Rows;
        if (root is null)
        {
            MultiplyGram(stack, n, side, result, 0);
            MirrorLowerTriangle(result);
            return;
        }
        int step = GradientStep(m, gradients, n);
        using Tensor workspace = Allocate(result.Type, 1, checked(m * n * step));
        for (int first = 0; first < gradients; first += step)
        {
            int count = Math.Min(step, gradients - first);
            Tensor slice = stack.SliceColumns(first * n, count * n), product = workspace.SliceColumns(0, m * n * count).Reshape(m, n * count);
            if (side == KroneckerSide.Rows)
                MultiplyEach(slice, count, new(root, true), product, ProductStructure.UpperRight);
            else
                MatrixProduct.Multiply(this, new(root, false), new(slice, false), product, 1, 0, ProductStructure.LowerLeft);
            MultiplyGram(product, n, side, result, first == 0 ? 0 : 1);
        }
        MirrorLowerTriangle(result);
    }

    /// <summary>product_k ← G_k · b for gradients beside each other.</summary>
    private void MultiplyEach(Tensor gradients, int count, in MatrixView b, Tensor product, ProductStructure structure)
    {
        int n = gradients.Columns / count;
        for (int k = 0; k < count; k++)
            MatrixProduct.Multiply(this, new(gradients.SliceColumns(k * n, n), false), b, product.SliceColumns(k * n, n), 1, 0, structure);
    }

    /// <summary>The lower triangle of result ← Σ P_k P_kᵀ or Σ P_kᵀ P_k + beta · result, P_k beside each other.</summary>
    private void MultiplyGram(Tensor p, int n, KroneckerSide side, Tensor result, double beta)
    {
        MatrixView view = side == KroneckerSide.Rows ? new(p, false) : new(p.Reshape(checked(p.Rows * (p.Columns / n)), n), true);
        MultiplyLower(view, view.Transpose(), result, beta);
    }

    private void MultiplyLower(in MatrixView a, in MatrixView b, Tensor result, double beta) =>
        MatrixProduct.Multiply(this, a, b, result, 1, beta, ProductStructure.LowerResult);

    /// <summary>Gradients whose product fits the workspace, in even steps.</summary>
    private static int GradientStep(int m, int gradients, int n) => MatrixArguments.EvenStep(gradients, KroneckerWorkspace / Math.Max(1, m * (long)n));
}
