using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using FastKron.Native.Compute.Tensors;
using Tensor = FastKron.Native.Compute.Tensors.Tensor;

namespace FastKron.Native.Compute.Cpu;

/// <summary>Cholesky factor, inverse and block LDLᵀ of triangles, in float64, recursively on halves so that nearly all work is matrix products.</summary>
internal static unsafe class TriangularFactors
{
    /// <summary>Order below which the scalar recurrences are used.</summary>
    private const int Leaf = 64;

    /// <summary>Rows solved together against a triangle: their columns are the vectors. A multiple of eight registers of any width.</summary>
    private const int SolveRows = 128;

    /// <summary>Replaces a by its Cholesky factor; returns 0 or the 1-based index of the failing pivot.</summary>
    public static int Cholesky(CpuBackend backend, Tensor a)
    {
        int failed = FactorLower(backend, a);
        for (int row = 0; row < a.Rows && failed == 0; row++)
            backend.Fill(a.Slice(row, 1, row + 1, a.Columns - row - 1), 0);
        return failed;
    }

    /// <summary>From the Cholesky factor C: l = C · blockdiag(C_ii)⁻¹ − I, D_i = C_ii C_iiᵀ.</summary>
    /// <param name="backend">Gives the threads.</param>
    /// <param name="c">(n, n) F64 lower triangle C.</param>
    /// <param name="block">Rows of a diagonal block.</param>
    /// <param name="l">(n, n) F32, overwritten.</param>
    /// <param name="d">(n, block) F64, overwritten.</param>
    public static void BlockLdl(CpuBackend backend, Tensor c, int block, Tensor l, Tensor d)
    {
        int groups = (c.Rows + SolveRows - 1) / SolveRows;
        backend.For(groups, group =>
        {
            int first = group * SolveRows, end = Math.Min(first + SolveRows, c.Rows);
            using Tensor work = backend.Allocate(DType.F64, 2 * block, SolveRows);
            for (int start = 0; start < end; start += block)
            {
                int below = Math.Max(first, start + block);
                if (below < end)
                    SolveBlock(c, start, block, l.Slice(below, end - below, start, block), below, work);
            }
            for (int row = first; row < end; row++)
                FillDiagonal(c, row, row / block * block, block, l, d);
        });
    }

    /// <summary>Some rows of l in one block column: x · C_ii = the rows of C, from the last column to the first.</summary>
    private static void SolveBlock(Tensor c, int start, int block, Tensor l, int row, Tensor work)
    {
        double* columns = (double*)work.Address, solved = columns + block * SolveRows;
        double* triangle = (double*)c.Address + start * (c.Stride + 1);
        Transposition.Transpose((double*)c.Address + row * c.Stride + start, c.Stride, l.Rows, block, columns, SolveRows);
        for (int j = block - 1; j >= 0; j--)
            Eliminate(columns, l.Rows, j, triangle + j, c.Stride, j + 1, block);
        Transposition.Transpose(columns, SolveRows, block, l.Rows, solved, block);
        for (int i = 0; i < l.Rows; i++)
            ElementConversion.Convert(DType.F64, solved + i * block, DType.F32, (float*)l.Address + i * l.Stride, block);
    }

    /// <summary>One row of D_i = C_ii C_iiᵀ, and zeros in l from the diagonal block on.</summary>
    private static void FillDiagonal(Tensor c, int row, int start, int block, Tensor l, Tensor d)
    {
        l.Row<float>(row)[start..].Clear();
        ReadOnlySpan<double> factor = c.Row<double>(row).Slice(start, row - start + 1);
        for (int column = start; column < start + block; column++)
        {
            // The shorter of the two rows of the triangle decides.
            int terms = Math.Min(factor.Length, column - start + 1);
            d.Row<double>(row)[column - start] = TensorPrimitives.Dot(factor[..terms], c.Row<double>(column).Slice(start, terms));
        }
    }

    private static int FactorLower(CpuBackend backend, Tensor a)
    {
        int n = a.Rows;
        if (n <= Leaf)
            return FactorLeaf((double*)a.Address, a.Stride, n);
        int half = Half(n);
        Tensor first = a.Slice(0, half, 0, half), below = a.Slice(half, n - half, 0, half), rest = a.Slice(half, n - half, half, n - half);
        int failed = FactorLower(backend, first);
        if (failed != 0)
            return failed;
        SolveTransposed(backend, first, below);
        var view = new MatrixView(below, transposed: false);
        MatrixProduct.Multiply(backend, view, view.Transpose(), rest, -1, 1, ProductStructure.LowerResult);
        failed = FactorLower(backend, rest);
        return failed == 0 ? 0 : half + failed;
    }

    private static int FactorLeaf(double* a, nint stride, int n)
    {
        for (int i = 0; i < n; i++)
        {
            double* row = a + i * stride;
            for (int j = 0; j < i; j++)
            {
                double* other = a + j * stride;
                row[j] = (row[j] - TensorPrimitives.Dot(new ReadOnlySpan<double>(row, j), new ReadOnlySpan<double>(other, j))) / other[j];
            }
            double pivot = row[i] - TensorPrimitives.SumOfSquares(new ReadOnlySpan<double>(row, i));
            if (!(pivot > 0 && double.IsFinite(pivot)))
                return i + 1;
            row[i] = Math.Sqrt(pivot);
        }
        return 0;
    }

    /// <summary>x ← x · L⁻ᵀ for a lower triangle L.</summary>
    private static void SolveTransposed(CpuBackend backend, Tensor l, Tensor x)
    {
        int n = l.Rows;
        if (n <= Leaf)
        {
            int groups = (x.Rows + SolveRows - 1) / SolveRows;
            backend.For(groups, group => SolveLeaf(l, x.SliceRows(group * SolveRows, Math.Min(SolveRows, x.Rows - group * SolveRows))));
            return;
        }
        int half = Half(n);
        Tensor first = x.SliceColumns(0, half), second = x.SliceColumns(half, n - half);
        SolveTransposed(backend, l.Slice(0, half, 0, half), first);
        backend.MatMul(first, false, l.Slice(half, n - half, 0, half), true, second, -1, 1);
        SolveTransposed(backend, l.Slice(half, n - half, half, n - half), second);
    }

    /// <summary>Forward substitution for some rows, transposed so that each step is a vector operation over the rows.</summary>
    [SkipLocalsInit]
    private static void SolveLeaf(Tensor l, Tensor x)
    {
        int n = l.Rows, rows = x.Rows;
        double* columns = stackalloc double[Leaf * SolveRows];
        Transposition.Transpose((double*)x.Address, x.Stride, rows, n, columns, SolveRows);
        for (int j = 0; j < n; j++)
            Eliminate(columns, rows, j, (double*)l.Address + j * l.Stride, 1, 0, j);
        Transposition.Transpose(columns, SolveRows, n, rows, (double*)x.Address, x.Stride);
    }

    /// <summary>x_j ← (x_j − Σ_p f_p x_p) / f_j over p from first to end−1, for vectors x_p of <see cref="SolveRows"/> elements above each other.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Eliminate(double* x, int rows, int j, double* factors, nint factorStride, int first, int end)
    {
        // Eight sums hide the latency of a multiply-add; what lies beyond the rows is computed and not used.
        int lanes = Vector<double>.Count;
        for (double* start = x; start < x + rows; start += 8 * lanes)
        {
            double* target = start + j * SolveRows;
            Vector<double> s0 = Vector.Load(target), s1 = Vector.Load(target + lanes);
            Vector<double> s2 = Vector.Load(target + 2 * lanes), s3 = Vector.Load(target + 3 * lanes);
            Vector<double> s4 = Vector.Load(target + 4 * lanes), s5 = Vector.Load(target + 5 * lanes);
            Vector<double> s6 = Vector.Load(target + 6 * lanes), s7 = Vector.Load(target + 7 * lanes);
            for (int p = first; p < end; p++)
            {
                double* source = start + p * SolveRows;
                var factor = new Vector<double>(-factors[p * factorStride]);
                s0 = MultiplyAdd(factor, source, s0);
                s1 = MultiplyAdd(factor, source + lanes, s1);
                s2 = MultiplyAdd(factor, source + 2 * lanes, s2);
                s3 = MultiplyAdd(factor, source + 3 * lanes, s3);
                s4 = MultiplyAdd(factor, source + 4 * lanes, s4);
                s5 = MultiplyAdd(factor, source + 5 * lanes, s5);
                s6 = MultiplyAdd(factor, source + 6 * lanes, s6);
                s7 = MultiplyAdd(factor, source + 7 * lanes, s7);
            }
            var pivot = new Vector<double>(factors[j * factorStride]);
            Vector.Store(s0 / pivot, target);
            Vector.Store(s1 / pivot, target + lanes);
            Vector.Store(s2 / pivot, target + 2 * lanes);
            Vector.Store(s3 / pivot, target + 3 * lanes);
            Vector.Store(s4 / pivot, target + 4 * lanes);
            Vector.Store(s5 / pivot, target + 5 * lanes);
            Vector.Store(s6 / pivot, target + 6 * lanes);
            Vector.Store(s7 / pivot, target + 7 * lanes);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<double> MultiplyAdd(Vector<double> factor, double* source, Vector<double> sum) =>
        Vector.MultiplyAddEstimate(factor, Vector.Load(source), sum);

    /// <summary>Replaces a lower triangle by its inverse.</summary>
    public static void Invert(CpuBackend backend, Tensor l)
    {
        int n = l.Rows;
        if (n <= Leaf)
        {
            InvertLeaf((double*)l.Address, l.Stride, n);
            return;
        }

        // (A 0; C B)⁻¹ = (A⁻¹ 0; −B⁻¹ C A⁻¹  B⁻¹)
        int half = Half(n);
        Tensor a = l.Slice(0, half, 0, half), c = l.Slice(half, n - half, 0, half), b = l.Slice(half, n - half, half, n - half);
        Invert(backend, a);
        Invert(backend, b);
        using Tensor product = backend.Allocate(l.Type, n - half, half);
        MatrixProduct.Multiply(backend, new MatrixView(c, false), new MatrixView(a, false), product, 1, 0, ProductStructure.LowerRight);
        MatrixProduct.Multiply(backend, new MatrixView(b, false), new MatrixView(product, false), c, -1, 0, ProductStructure.LowerLeft);
    }

    private static void InvertLeaf(double* l, nint stride, int n)
    {
        double* factors = stackalloc double[Leaf];
        for (int i = 0; i < n; i++)
        {
            // Row i of L⁻¹ = (e_i − Σ_{p<i} L_ip · row p) / L_ii.
            double* row = l + i * stride;
            new ReadOnlySpan<double>(row, i + 1).CopyTo(new Span<double>(factors, i + 1));
            new Span<double>(row, i).Clear();
            row[i] = 1;
            for (int p = 0; p < i; p++)
            {
                var sums = new Span<double>(row, p + 1);
                TensorPrimitives.MultiplyAdd(new ReadOnlySpan<double>(l + p * stride, p + 1), -factors[p], sums, sums);
            }
            TensorPrimitives.Divide(new ReadOnlySpan<double>(row, i + 1), factors[i], new Span<double>(row, i + 1));
        }
    }

    /// <summary>About half of n, in whole leaves.</summary>
    private static int Half(int n) => (n / 2 + Leaf - 1) / Leaf * Leaf;
}
