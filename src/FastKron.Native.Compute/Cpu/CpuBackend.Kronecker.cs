using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <summary>Elements of the intermediate product that are kept at a time.</summary>
    private const int KroneckerWorkspace = 1 << 24;

    /// <inheritdoc/>
    public void KroneckerApply(Tensor stack, int gradients, KroneckerSide side, Tensor v, Tensor result)
    {
        int n = MatrixArguments.Kronecker(onHost: true, stack, gradients, side, v, result), m = stack.Rows;
        int step = MatrixArguments.EvenStep(m, KroneckerWorkspace / Math.Max(1, stack.Columns));
        using Tensor workspace = Allocate(result.Type, step, stack.Columns);
        for (int row = 0; row < m; row += step)
        {
            int rows = Math.Min(step, m - row);
            Tensor slice = stack.SliceRows(row, rows), product = workspace.SliceRows(0, rows);
            Tensor tall = slice.Reshape(rows * gradients, n), tallProduct = product.Reshape(rows * gradients, n);
            if (side == KroneckerSide.Rows)
            {
                // Some rows of every G V against the rows of every G that do not come later.
                MatMul(tall, false, v, false, tallProduct);
                if (row > 0)
                    MatMul(product, false, stack.SliceRows(0, row), true, result.Slice(row, rows, 0, row));
                MultiplyLower(new(product, false), new(slice, true), result.Slice(row, rows, row, rows), 0);
            }
            else
            {
                MatMul(v.SliceRows(row, rows), false, stack, false, product);
                MultiplyLower(new(tallProduct, true), new(tall, false), result, row == 0 ? 0 : 1);
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
            MultiplyGram(stack, m, n, side, result, 0);
            MirrorLowerTriangle(result);
            return;
        }
        int step = MatrixArguments.EvenStep(gradients, KroneckerWorkspace / Math.Max(1, m * (long)n));
        using Tensor workspace = Allocate(result.Type, 1, checked(m * n * step));
        for (int first = 0; first < gradients; first += step)
        {
            int count = Math.Min(step, gradients - first);
            Tensor slice = stack.SliceColumns(first * n, count * n), product = workspace.SliceColumns(0, m * n * count).Reshape(m, n * count);
            if (side == KroneckerSide.Columns)
                MatrixProduct.Multiply(this, new(root, false), new(slice, false), product, 1, 0, ProductStructure.LowerLeft);
            else if (slice.IsContiguous)
                MultiplyRootTransposed(slice.Reshape(m * count, n), root, product.Reshape(m * count, n));
            else
            {
                for (int k = 0; k < count; k++)
                    MultiplyRootTransposed(slice.SliceColumns(k * n, n), root, product.SliceColumns(k * n, n));
            }
            MultiplyGram(product, m, n, side, result, first == 0 ? 0 : 1);
        }
        MirrorLowerTriangle(result);
    }

    /// <summary>The lower triangle of result ← Σ P_k P_kᵀ or Σ P_kᵀ P_k + beta · result.</summary>
    private void MultiplyGram(Tensor stack, int m, int n, KroneckerSide side, Tensor result, double beta)
    {
        MatrixView view = side == KroneckerSide.Rows ? new(stack, false) : new(stack.Reshape(checked(m * (stack.Columns / n)), n), true);
        MultiplyLower(view, view.Transpose(), result, beta);
    }

    private void MultiplyLower(in MatrixView a, in MatrixView b, Tensor result, double beta) =>
        MatrixProduct.Multiply(this, a, b, result, 1, beta, ProductStructure.LowerResult);

    private void MultiplyRootTransposed(Tensor g, Tensor root, Tensor product) =>
        MatrixProduct.Multiply(this, new(g, false), new(root, true), product, 1, 0, ProductStructure.UpperRight);
}
