using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

// Every step takes all matrices of a stack at once: a diagonal block occupies a single multiprocessor, and small products are not much better.
public sealed unsafe partial class GpuBackend
{
    /// <summary>Columns of an update at a time: above the diagonal, numbers that nobody reads are computed within them alone.</summary>
    private const int UpdateColumns = 1024;

    /// <inheritdoc/>
    public void BlockLdl(Tensor h, int block, Tensor l, Tensor d, Tensor failures)
    {
        Enter();
        MatrixArguments.BlockLdl(onHost: false, h, block, l, d, failures);
        int n = h.Columns, matrices = failures.Rows;
        if (h.Length == 0)
        {
            Fill(failures, 0);
            return;
        }
        using (Tensor roots = Allocate(DType.F64, matrices * RootOrder, RootOrder), panel = Allocate(DType.F64, matrices * n, Math.Min(n, RootOrder)))
        {
            using DeviceMemory logDeterminants = Scratch(matrices * sizeof(double));
            FactorColumns(new CholeskyStack(h, roots, panel, logDeterminants.Address, failures.Address, matrices), 0, n);
        }

        // What a failed factorisation left goes through here as well: the caller does not look at it.
        using Tensor inverse = Allocate(DType.F64, n, block);
        for (int matrix = 0; matrix < matrices; matrix++)
        {
            Tensor c = h.SliceRows(matrix * n, n), lower = l.SliceRows(matrix * n, n), diagonal = d.SliceRows(matrix * n, n);
            OnTriangle("clear_upper", c);
            Kernel("matrix", "block_diagonal_f64").Launch(
                _stream, n / block, FactorThreads, new BlockDiagonalArgs(inverse.Address, diagonal.Address, c.Address, (nuint)c.Stride, (nuint)d.Stride, block));
            Kernel("matrix", "block_lower_f64_f32").Launch(
                _stream, new dim3((uint)Ceiling(n, FactorThreads), (uint)Math.Min(n, LargestGrid)), FactorThreads,
                new BlockLowerArgs(lower.Address, c.Address, inverse.Address, (nuint)l.Stride, (nuint)h.Stride, n, block));
        }
    }

    /// <summary>Some columns of the Cholesky factors, from the diagonal down, in the place of H less the products of the columns before them.</summary>
    /// <remarks>
    /// The left half, its product with itself taken off the right half, the right half: so most of the work is in products with a long inner dimension.
    /// A narrow panel (A; B) with A = C Cᵀ becomes (A; B) · C⁻ᵀ, whose upper part is C up to rounding above the diagonal.
    /// </remarks>
    private void FactorColumns(in CholeskyStack stack, int first, int width)
    {
        int n = stack.H.Columns;
        if (width <= RootOrder)
        {
            CopyStack(stack, stack.H.Slice(first, width, first, width), n, stack.Roots, RootOrder);
            Kernel("factor", "inverse_root_f64").Launch(
                _stream, stack.Matrices, RootThreads,
                new InverseRootArgs(stack.Roots.Address, RootOrder * RootOrder, RootOrder, width, first, stack.LogDeterminants, stack.Failures));
            Tensor below = stack.H.Slice(first, n - first, first, width), solved = stack.Panel.Slice(0, n - first, 0, width);
            MultiplyStack(stack, 1, below, n, stack.Roots.Slice(0, width, 0, width), RootOrder, 0, solved, n);
            CopyStack(stack, solved, n, below, n);
            return;
        }
        int left = Half(width, RootOrder), middle = first + left, end = first + width;
        FactorColumns(stack, first, left);
        for (int column = middle; column < end; column += UpdateColumns)
        {
            int columns = Math.Min(UpdateColumns, end - column);
            Tensor rows = stack.H.Slice(column, n - column, first, left);
            MultiplyStack(stack, -1, rows, n, rows.SliceRows(0, columns), n, 1, stack.H.Slice(column, n - column, column, columns), n);
        }
        FactorColumns(stack, middle, width - left);
    }

    /// <summary>c ← alpha · a · bᵀ + beta · c in every matrix; the tensors are the first matrix's, the next one's lie so many rows below.</summary>
    private void MultiplyStack(in CholeskyStack stack, double alpha, Tensor a, int stepA, Tensor b, int stepB, double beta, Tensor c, int stepC)
        => _blas.GemmStridedBatched(
            Operation.Transpose, Operation.NonTranspose, c.Columns, c.Rows, a.Columns,
            alpha, b.Address, BlasDataType.R64F, Leading(b), stepB * (long)b.Stride, a.Address, BlasDataType.R64F, Leading(a), stepA * (long)a.Stride,
            beta, c.Address, BlasDataType.R64F, Leading(c), stepC * (long)c.Stride, stack.Matrices, ComputeType.Compute64F);

    /// <summary>destination ← source, of destination's rows and columns as far as source has them, likewise.</summary>
    private void CopyStack(in CholeskyStack stack, Tensor source, int stepSource, Tensor destination, int stepDestination)
        => Kernel("matrix", "copy_stack_f64").Launch(
            _stream, new dim3((uint)Ceiling(source.Rows * source.Columns, FactorThreads), (uint)stack.Matrices), FactorThreads,
            new CopyStackArgs(
                destination.Address, source.Address, (nuint)(stepDestination * destination.Stride), (nuint)(stepSource * source.Stride),
                (nuint)destination.Stride, (nuint)source.Stride, source.Rows, source.Columns));

    /// <summary>Matrices that are factorised together.</summary>
    /// <param name="H">(matrices · n, n).</param>
    /// <param name="Roots">(matrices · RootOrder, RootOrder): diagonal blocks, then their inverse roots.</param>
    /// <param name="Panel">(matrices · n, RootOrder): columns on their way.</param>
    /// <param name="LogDeterminants">A double for each.</param>
    /// <param name="Failures">An int for each.</param>
    /// <param name="Matrices">How many.</param>
    private readonly record struct CholeskyStack(Tensor H, Tensor Roots, Tensor Panel, nint LogDeterminants, nint Failures, int Matrices);

    private readonly record struct CopyStackArgs(
        nint Destination, nint Source, nuint StepDestination, nuint StepSource, nuint StrideDestination, nuint StrideSource, int Rows, int Columns);

    private readonly record struct BlockDiagonalArgs(nint Inverse, nint D, nint C, nuint StrideC, nuint StrideD, int Block);

    private readonly record struct BlockLowerArgs(nint L, nint C, nint Inverse, nuint StrideL, nuint StrideC, int N, int Block);
}
