using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Gpu;

// A BF16 stack is multiplied on the tensor cores: the other operand and the product P are rounded to BF16 once, which moves the result by less
// than 2e-3 and the likelihood factors of real gradients by less than 1e-3 (hessians-and-rounding.md section 2.1); sums are F32. F32 and F64
// stacks are multiplied in their own type.
public sealed partial class GpuBackend
{
    /// <summary>Bytes of P that are kept at a time.</summary>
    private const long KroneckerWorkspace = 3 << 28;

    /// <summary>Columns of a triangular factor that cuBLAS multiplies at a time: what is above them is zero and skipped.</summary>
    private const int TriangularPanel = 512;

    /// <inheritdoc/>
    public void KroneckerApply(Tensor stack, int gradients, KroneckerSide side, Tensor v, Tensor result)
    {
        Enter();
        MatrixArguments.Kronecker(onHost: false, stack, gradients, side, v, result);
        Kronecker(new GradientSlice(stack, gradients), side, v, triangular: false, result);
    }

    /// <inheritdoc/>
    public void KroneckerGram(Tensor stack, int gradients, KroneckerSide side, Tensor? root, Tensor result)
    {
        Enter();
        MatrixArguments.Kronecker(onHost: false, stack, gradients, side, root, result);
        Kronecker(new GradientSlice(stack, gradients), side, root, triangular: true, result);
    }

    /// <summary>result ← Σ P_k Q_kᵀ, P_k = G_k fᵀ, or Σ P_kᵀ Q_k, P_k = f G_k: Q = P for a triangle, Q = G for a symmetric f.</summary>
    private void Kronecker(in GradientSlice stack, KroneckerSide side, Tensor? f, bool triangular, Tensor result)
    {
        (int m, int n) = (stack.Matrix.Rows, stack.Columns);
        if (m == 0)
        {
            Fill(result, 0);
            return;
        }
        bool tiles = HasTiles(stack.Matrix, stack.Count) && HasTiles(result) && m % TileElements == 0;
        if (f is null)
        {
            AddProducts(stack, stack, side, tiles, result, 0);
        }
        else
        {
            using Tensor factor = Converted(f, stack.Matrix.Type);
            int step = MatrixArguments.EvenStep(stack.Count, KroneckerWorkspace / ((long)m * n * factor.Type.Size()));
            using Tensor workspace = Allocate(stack.Matrix.Type, 1, checked(m * step * n));
            for (int first = 0; first < stack.Count; first += step)
            {
                int count = Math.Min(step, stack.Count - first);
                var slice = new GradientSlice(stack.Matrix.SliceColumns(first * n, count * n), count);
                var p = new GradientSlice(workspace.SliceColumns(0, m * count * n).Reshape(m, count * n), count);
                if (tiles)
                    MultiplyTiles(slice, side, factor, triangular, p);
                else
                    MultiplyEach(slice, side, factor, triangular, p);
                AddProducts(p, triangular ? p : slice, side, tiles, result, first == 0 ? 0 : 1);
            }
        }
        OnTriangle("mirror", result);
    }

    /// <summary>The lower triangle of result ← Σ P_k Q_kᵀ or Σ P_kᵀ Q_k + beta · result.</summary>
    private void AddProducts(in GradientSlice p, in GradientSlice q, KroneckerSide side, bool tiles, Tensor result, double beta)
    {
        if (tiles && FillsTiles(result.Rows))
        {
            MultiplyLowerTiles(p, q, side, result, 1, beta != 0);
        }
        else if (side == KroneckerSide.Rows)
        {
            MultiplyLower(p.Matrix, false, q.Matrix, true, result, 1, beta);
        }
        else if (p.Matrix.IsContiguous && q.Matrix.IsContiguous)
        {
            MultiplyLower(p.Tall, true, q.Tall, false, result, 1, beta);
        }
        else
        {
            for (int k = 0; k < p.Count; k++)
                MultiplyLower(p[k], true, q[k], false, result, 1, k == 0 ? beta : 1);
        }
    }

    /// <summary>P_k ← G_k fᵀ or f G_k by cuBLAS.</summary>
    private void MultiplyEach(in GradientSlice g, KroneckerSide side, Tensor f, bool triangular, in GradientSlice p)
    {
        if (side == KroneckerSide.Columns)
        {
            int panel = triangular ? TriangularPanel : f.Rows;
            for (int row = 0; row < f.Rows; row += panel)
            {
                int rows = Math.Min(panel, f.Rows - row), end = row + rows;
                Multiply(f.Slice(row, rows, 0, end), false, g.Matrix.SliceRows(0, end), false, p.Matrix.SliceRows(row, rows), 1, 0);
            }
        }
        else if (g.Matrix.IsContiguous)
        {
            MultiplyTransposed(g.Tall, f, triangular, p.Tall);
        }
        else
        {
            for (int k = 0; k < g.Count; k++)
                MultiplyTransposed(g[k], f, triangular, p[k]);
        }
    }

    /// <summary>p ← g · fᵀ.</summary>
    private void MultiplyTransposed(Tensor g, Tensor f, bool triangular, Tensor p)
    {
        int panel = triangular ? TriangularPanel : g.Columns;
        for (int column = 0; column < g.Columns; column += panel)
        {
            int columns = Math.Min(panel, g.Columns - column), end = column + columns;
            Multiply(g.SliceColumns(0, end), false, f.Slice(column, columns, 0, end), true, p.SliceColumns(column, columns), 1, 0);
        }
    }

    /// <summary>Some gradients beside each other: (m, count · n), rows of them a stride apart.</summary>
    private readonly record struct GradientSlice(Tensor Matrix, int Count)
    {
        /// <summary>n.</summary>
        public int Columns => Matrix.Columns / Count;

        /// <summary>Gradients without gaps: the rows of all, (m · count, n).</summary>
        public Tensor Tall => Matrix.Reshape(checked(Matrix.Rows * Count), Columns);

        /// <summary>One gradient, (m, n).</summary>
        public Tensor this[int k] => Matrix.SliceColumns(k * Columns, Columns);
    }
}
