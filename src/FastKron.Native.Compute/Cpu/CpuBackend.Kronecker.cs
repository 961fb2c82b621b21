using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <summary>Elements of the intermediate product that are kept at a time.</summary>
    private const int KroneckerWorkspace = 1 << 24;

    /// <inheritdoc/>
    public void KroneckerApply(Tensor stack, int gradients, KroneckerSide side, Tensor v, Tensor result)
    {
        int n = RequireKronecker(stack, gradients, side, v, result), m = stack.Rows;
        int step = Even(m, KroneckerWorkspace / Math.Max(1, stack.Columns));
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
        int n = RequireKronecker(stack, gradients, side, root, result), m = stack.Rows;
        if (root is null)
        {
            MultiplyGram(stack, m, n, side, result, 0);
            MirrorLowerTriangle(result);
            return;
        }
        int step = Even(gradients, KroneckerWorkspace / Math.Max(1, m * (long)n));
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

    /// <summary>Checks the arguments and returns n, the columns of one gradient.</summary>
    private static int RequireKronecker(Tensor stack, int gradients, KroneckerSide side, Tensor? v, Tensor result)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(gradients, 1);
        TensorArguments.RequireHost(stack);
        TensorArguments.RequireHost(result);
        if (stack.Columns % gradients != 0 || stack.Columns == 0)
            throw new ArgumentException($"stack: expected columns of {gradients} gradients, found {stack}", nameof(stack));
        if (!stack.IsContiguous)
            throw new ArgumentException($"stack: expected rows without gaps, found {stack}", nameof(stack));
        int n = stack.Columns / gradients, produced = side == KroneckerSide.Rows ? stack.Rows : n, given = side == KroneckerSide.Rows ? n : stack.Rows;
        TensorArguments.RequireSingleOrDouble(result);
        TensorArguments.RequirePrecisionOf(result, stack);
        TensorArguments.RequireShape(result, produced, produced);
        if (v is not null)
        {
            TensorArguments.RequireHost(v);
            TensorArguments.RequireType(v, result.Type);
            TensorArguments.RequireShape(v, given, given);
        }
        return n;
    }

    /// <summary>The size of even steps of at most <paramref name="limit"/> that cover <paramref name="count"/>.</summary>
    private static int Even(int count, long limit)
    {
        limit = Math.Clamp(limit, 1, Math.Max(1, count));
        return (int)((count + (count + limit - 1) / limit - 1) / ((count + limit - 1) / limit));
    }
}
