using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Cpu;

public sealed partial class CpuBackend
{
    /// <inheritdoc/>
    public void KroneckerApply(Tensor stack, int gradients, KroneckerSide side, Tensor v, Tensor result)
    {
        int m = stack.Rows, n = stack.Columns / gradients;
        using Tensor product = Allocate(result.Type, m, stack.Columns);
        if (side == KroneckerSide.Rows)
        {
            MatMul(stack.Reshape(m * gradients, n), false, v, false, product.Reshape(m * gradients, n));
            MatMul(product, false, stack, true, result);
        }
        else
        {
            MatMul(v, false, stack, false, product);
            MatMul(product.Reshape(m * gradients, n), true, stack.Reshape(m * gradients, n), false, result);
        }
        using Tensor copy = Allocate(result.Type, result.Rows, result.Columns);
        using Tensor identity = Allocate(result.Type, result.Rows, result.Columns);
        Fill(identity, 0);
        for (int i = 0; i < identity.Rows; i++)
            Fill(identity.Slice(i, 1, i, 1), 1);
        Convert(result, copy);
        MatMul(copy, true, identity, false, result, 0.5, 0.5);
    }

    /// <inheritdoc/>
    public void KroneckerGram(Tensor stack, int gradients, KroneckerSide side, Tensor? root, Tensor result)
    {
        int m = stack.Rows, n = stack.Columns / gradients;
        if (root is null)
        {
            if (side == KroneckerSide.Rows)
                SymmetricRankK(stack, false, result);
            else
                SymmetricRankK(stack.Reshape(m * gradients, n), true, result);
            return;
        }
        using Tensor product = Allocate(result.Type, m, stack.Columns);
        if (side == KroneckerSide.Rows)
        {
            MatMul(stack.Reshape(m * gradients, n), false, root, true, product.Reshape(m * gradients, n));
            SymmetricRankK(product, false, result);
        }
        else
        {
            MatMul(root, false, stack, false, product);
            SymmetricRankK(product.Reshape(m * gradients, n), true, result);
        }
    }
}
