using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute.Gpu;

// A BF16 stack is multiplied on the tensor cores: the other operand and the intermediate product are held as two BF16 matrices each
// (high and low half of the mantissa), so that nothing is rounded to 8 bits. F32 and F64 stacks are multiplied in their own type.
public sealed partial class GpuBackend
{
    /// <summary>Elements of the intermediate product that are kept at a time: 512 MiB with its two halves.</summary>
    private const long KroneckerWorkspace = 1 << 26;

    /// <summary>Columns of a triangular factor that are multiplied at a time: what is above them is zero and skipped.</summary>
    private const int TriangularPanel = 512;

    /// <inheritdoc/>
    public void KroneckerApply(Tensor stack, int gradients, KroneckerSide side, Tensor v, Tensor result)
    {
        Enter();
        int n = MatrixArguments.Kronecker(onHost: false, stack, gradients, side, v, result), m = stack.Rows;
        if (m == 0)
        {
            Fill(result, 0);
            return;
        }
        int step = MatrixArguments.EvenStep(m, KroneckerWorkspace / stack.Columns);
        using var given = new Factor(this, stack.Type, v.Rows, v.Columns);
        using var workspace = new Factor(this, stack.Type, step, stack.Columns);
        using Tensor sums = Allocate(result.Type, step, stack.Columns);
        given.Set(v);
        for (int row = 0; row < m; row += step)
        {
            int rows = Math.Min(step, m - row);
            Tensor slice = stack.SliceRows(row, rows), product = sums.SliceRows(0, rows);
            Tensor tall = slice.Reshape(checked(rows * gradients), n);
            if (side == KroneckerSide.Rows)
            {
                // Some rows of every G V against the rows of every G that do not come later.
                Product(Parts.Of(tall), false, given.View, false, product.Reshape(tall.Rows, n), 0);
                Parts rounded = workspace.Set(product);
                if (row > 0)
                    Product(rounded, false, Parts.Of(stack.SliceRows(0, row)), true, result.Slice(row, rows, 0, row), 0);
                ProductLower(rounded, false, Parts.Of(slice), true, result.Slice(row, rows, row, rows), 0);
            }
            else
            {
                Product(given.View.Rows(row, rows), false, Parts.Of(stack), false, product, 0);
                ProductLower(workspace.Set(product).Reshape(tall.Rows, n), true, Parts.Of(tall), false, result, row == 0 ? 0 : 1);
            }
        }
        OnTriangle("mirror", result);
    }

    /// <inheritdoc/>
    public void KroneckerGram(Tensor stack, int gradients, KroneckerSide side, Tensor? root, Tensor result)
    {
        Enter();
        int n = MatrixArguments.Kronecker(onHost: false, stack, gradients, side, root, result), m = stack.Rows;
        if (m == 0)
        {
            Fill(result, 0);
            return;
        }
        if (root is null)
        {
            GramLower(Parts.Of(stack), m, n, side, result, 0);
            OnTriangle("mirror", result);
            return;
        }
        int step = MatrixArguments.EvenStep(gradients, KroneckerWorkspace / ((long)m * n));
        using var given = new Factor(this, stack.Type, root.Rows, root.Columns);
        given.Set(root);
        for (int first = 0; first < gradients; first += step)
        {
            int count = Math.Min(step, gradients - first);
            Tensor slice = stack.SliceColumns(first * n, count * n);
            using Tensor product = Allocate(result.Type, m, count * n);
            if (side == KroneckerSide.Columns)
            {
                for (int row = 0; row < m; row += TriangularPanel)
                {
                    int rows = Math.Min(TriangularPanel, m - row), end = row + rows;
                    Product(given.View.Slice(row, rows, 0, end), false, Parts.Of(slice.SliceRows(0, end)), false, product.SliceRows(row, rows), 0);
                }
            }
            else if (slice.IsContiguous)
            {
                MultiplyRootTransposed(slice.Reshape(checked(m * count), n), given.View, product.Reshape(m * count, n));
            }
            else
            {
                for (int k = 0; k < count; k++)
                    MultiplyRootTransposed(slice.SliceColumns(k * n, n), given.View, product.SliceColumns(k * n, n));
            }
            using var rounded = new Factor(this, stack.Type, m, count * n);
            GramLower(rounded.Set(product), m, n, side, result, first == 0 ? 0 : 1);
        }
        OnTriangle("mirror", result);
    }

    /// <summary>product ← g · rootᵀ for a lower triangular root.</summary>
    private void MultiplyRootTransposed(Tensor g, in Parts root, Tensor product)
    {
        for (int column = 0; column < g.Columns; column += TriangularPanel)
        {
            int columns = Math.Min(TriangularPanel, g.Columns - column), end = column + columns;
            Product(Parts.Of(g.SliceColumns(0, end)), false, root.Slice(column, columns, 0, end), true, product.SliceColumns(column, columns), 0);
        }
    }

    /// <summary>The lower triangle of result ← Σ P_k P_kᵀ or Σ P_kᵀ P_k + beta · result.</summary>
    private void GramLower(in Parts stack, int m, int n, KroneckerSide side, Tensor result, double beta)
    {
        bool rows = side == KroneckerSide.Rows;
        Parts view = rows ? stack : stack.Reshape(checked((int)(stack.High.Length / n)), n);
        ProductLower(view, !rows, view, rows, result, beta);
    }

    /// <summary>c ← op(a) · op(b) + beta · c, small terms first; the product of two low halves is below the rounding of the sums.</summary>
    private void Product(in Parts a, bool transposeA, in Parts b, bool transposeB, Tensor c, double beta)
    {
        if (a.Low is not null)
            Multiply(a.Low, transposeA, b.High, transposeB, c, 1, beta);
        if (b.Low is not null)
            Multiply(a.High, transposeA, b.Low, transposeB, c, 1, a.Low is null ? beta : 1);
        Multiply(a.High, transposeA, b.High, transposeB, c, 1, a.Low is null && b.Low is null ? beta : 1);
    }

    /// <summary>The same for the lower triangle of c.</summary>
    private void ProductLower(in Parts a, bool transposeA, in Parts b, bool transposeB, Tensor c, double beta)
    {
        if (a.Low is not null)
            MultiplyLower(a.Low, transposeA, b.High, transposeB, c, 1, beta);
        if (b.Low is not null)
            MultiplyLower(a.High, transposeA, b.Low, transposeB, c, 1, a.Low is null ? beta : 1);
        MultiplyLower(a.High, transposeA, b.High, transposeB, c, 1, a.Low is null && b.Low is null ? beta : 1);
    }

    /// <summary>A matrix as the sum of one or two of one type.</summary>
    private readonly record struct Parts(Tensor High, Tensor? Low)
    {
        public static Parts Of(Tensor tensor) => new(tensor, null);

        public Parts Rows(int row, int rows) => new(High.SliceRows(row, rows), Low?.SliceRows(row, rows));

        public Parts Slice(int row, int rows, int column, int columns) => new(High.Slice(row, rows, column, columns), Low?.Slice(row, rows, column, columns));

        public Parts Reshape(int rows, int columns) => new(High.Reshape(rows, columns), Low?.Reshape(rows, columns));
    }

    /// <summary>Holds operands for products with a stack: as two BF16 halves for a BF16 stack, else as they are.</summary>
    private sealed class Factor : IDisposable
    {
        private readonly GpuBackend _backend;
        private readonly Tensor? _high, _low;

        public Factor(GpuBackend backend, DType stackType, int rows, int columns)
        {
            _backend = backend;
            if (stackType == DType.BF16)
                (_high, _low) = (backend.Allocate(DType.BF16, rows, columns), backend.Allocate(DType.BF16, rows, columns));
        }

        /// <summary>What was set last.</summary>
        public Parts View { get; private set; }

        /// <summary>Takes the values of a tensor of at most as many rows, which must stay until the products are enqueued.</summary>
        public Parts Set(Tensor values)
        {
            if (_high is null || _low is null)
            {
                View = Parts.Of(values);
            }
            else
            {
                View = new(_high.SliceRows(0, values.Rows), _low.SliceRows(0, values.Rows));
                _backend.Split(values, View.High, View.Low!);
            }
            return View;
        }

        public void Dispose()
        {
            _high?.Dispose();
            _low?.Dispose();
        }
    }
}
