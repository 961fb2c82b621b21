using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

// Products are cuBLAS's, which is column-major: it sees a row-major x as xᵀ, so c = op(a) op(b) is asked for as cᵀ = op(b)ᵀ op(a)ᵀ,
// and the lower triangle of a row-major matrix is its upper triangle.
public sealed unsafe partial class GpuBackend
{
    // kernels/matrix.cu
    private const int TileSize = 64, TileRows = 4, FactorThreads = 256, DotThreads = 256;

    /// <summary>Blocks that sum parts of a dot product: fixed, so that the order of the sum is.</summary>
    private const int DotBlocks = 768;

    /// <summary>Order up to which a product is computed whole although one triangle is wanted.</summary>
    private const int WholeProduct = 1024;

    /// <inheritdoc/>
    public void MatMul(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c, double alpha = 1, double beta = 0)
    {
        Enter();
        MatrixArguments.MatMul(onHost: false, a, transposeA, b, transposeB, c);
        if (c.Length > 0)
            Multiply(a, transposeA, b, transposeB, c, alpha, beta);
    }

    /// <inheritdoc/>
    public void SymmetricRankK(Tensor a, bool transposeA, Tensor c, double alpha = 1, double beta = 0)
    {
        Enter();
        MatrixArguments.SymmetricRankK(onHost: false, a, transposeA, c);
        if (c.Length == 0)
            return;
        if (a.Type == c.Type)
        {
            (Operation operation, int k) = transposeA ? (Operation.NonTranspose, a.Rows) : (Operation.Transpose, a.Columns);
            if (c.Type == DType.F64)
                _blas.Syrk(FillMode.Upper, operation, c.Rows, k, alpha, a.Address, Leading(a), beta, c.Address, Leading(c));
            else
                _blas.Syrk(FillMode.Upper, operation, c.Rows, k, (float)alpha, a.Address, Leading(a), (float)beta, c.Address, Leading(c));
        }
        else if (Math.Min(a.Rows, a.Columns) >= SmallestTiles && HasTiles(a, 1) && HasTiles(c))
        {
            if (beta is not (0 or 1))
                Scale(beta, c);
            var rows = new GradientSlice(a, 1);
            MultiplyLowerTiles(rows, rows, transposeA ? KroneckerSide.Columns : KroneckerSide.Rows, c, alpha, beta != 0);
        }
        else
        {
            MultiplyLower(a, transposeA, a, !transposeA, c, alpha, beta);
        }
        OnTriangle("mirror", c);
    }

    /// <inheritdoc/>
    public void SymmetricProduct(Tensor a, Tensor b, Tensor c, double alpha = 1, double beta = 0)
    {
        Enter();
        MatrixArguments.SymmetricProduct(onHost: false, a, b, c);
        if (c.Length == 0)
            return;
        if (Math.Min(a.Rows, a.Columns) >= SmallestTiles && HasTiles(a, 1) && HasTiles(b, 1) && HasTiles(c))
        {
            if (beta is not (0 or 1))
                Scale(beta, c);
            MultiplyLowerTiles(new GradientSlice(a, 1), new GradientSlice(b, 1), KroneckerSide.Columns, c, alpha, beta != 0);
        }
        else
        {
            MultiplyLower(a, true, b, false, c, alpha, beta);
        }
        OnTriangle("mirror", c);
    }

    /// <inheritdoc/>
    public void Axpy(double alpha, Tensor x, Tensor y)
    {
        Enter();
        MatrixArguments.Axpy(onHost: false, x, y);
        var walk = new Walk(x, y);
        if (walk.IsEmpty)
            return;
        if (y.Type == DType.F64)
            Kernel("matrix", "axpy_f64").Launch(_stream, walk.Grid, walk.Block, new AxpyArgs<double>(y.Address, x.Address, (nuint)y.Stride, (nuint)x.Stride, walk.Rows, walk.Columns, walk.Aligned, alpha));
        else
            Kernel("matrix", "axpy_f32").Launch(_stream, walk.Grid, walk.Block, new AxpyArgs<float>(y.Address, x.Address, (nuint)y.Stride, (nuint)x.Stride, walk.Rows, walk.Columns, walk.Aligned, (float)alpha));
    }

    /// <inheritdoc/>
    public void Multiply(Tensor x, Tensor y)
    {
        Enter();
        MatrixArguments.Multiply(onHost: false, x, y);
        var walk = new Walk(x, y);
        if (!walk.IsEmpty)
            Kernel("matrix", "multiply_f32").Launch(_stream, walk.Grid, walk.Block, new MultiplyArgs(y.Address, x.Address, (nuint)y.Stride, (nuint)x.Stride, walk.Rows, walk.Columns, walk.Aligned));
    }

    /// <inheritdoc/>
    public void Scale(double alpha, Tensor x)
    {
        Enter();
        MatrixArguments.Scale(onHost: false, x);
        var walk = new Walk(x);
        if (walk.IsEmpty)
            return;
        if (x.Type == DType.F64)
            Kernel("matrix", "scale_f64").Launch(_stream, walk.Grid, walk.Block, new FillArgs<double>(x.Address, (nuint)x.Stride, walk.Rows, walk.Columns, walk.Aligned, alpha));
        else
            Kernel("matrix", "scale_f32").Launch(_stream, walk.Grid, walk.Block, new FillArgs<float>(x.Address, (nuint)x.Stride, walk.Rows, walk.Columns, walk.Aligned, (float)alpha));
    }

    /// <inheritdoc/>
    public double Dot(Tensor x, Tensor y)
    {
        Enter();
        MatrixArguments.Dot(onHost: false, x, y);
        var walk = new Walk(x, y);
        if (walk.IsEmpty)
            return 0;
        (Tensor first, Tensor second) = x.Type <= y.Type ? (x, y) : (y, x);
        using Tensor sums = Allocate(DType.F64, 1, DotBlocks + 1);
        nint total = sums.Address + DotBlocks * sizeof(double);
        var args = new DotArgs(sums.Address, first.Address, second.Address, (nuint)first.Stride, (nuint)second.Stride, walk.Rows, walk.Columns);
        Kernel("matrix", DotKernel(first.Type, second.Type)).Launch(_stream, DotBlocks, DotThreads, args);
        Kernel("matrix", "dot_total").Launch(_stream, 1, DotThreads, new DotTotalArgs(total, sums.Address, DotBlocks));
        double result;
        _staging.Download(total, &result, sizeof(double));
        return result;
    }

    /// <inheritdoc/>
    public void BlockLdl(Tensor h, int block, Tensor l, Tensor d, Tensor failures)
    {
        Enter();
        MatrixArguments.BlockLdl(onHost: false, h, block, l, d, failures);
        int n = h.Columns;
        if (n == 0)
        {
            Fill(failures, 0);
            return;
        }
        // A factorisation that failed leaves numbers that l and d are made of all the same: the caller does not look at them.
        using Tensor inverse = Allocate(DType.F64, n, block);
        for (int matrix = 0; matrix < failures.Rows; matrix++)
        {
            Tensor c = h.SliceRows(matrix * n, n), lower = l.SliceRows(matrix * n, n), diagonal = d.SliceRows(matrix * n, n);
            Factorise(c, failures.SliceRows(matrix, 1).Address);
            Kernel("matrix", "block_diagonal_f64").Launch(
                _stream, n / block, FactorThreads, new BlockDiagonalArgs(inverse.Address, diagonal.Address, c.Address, (nuint)c.Stride, (nuint)d.Stride, block));
            Kernel("matrix", "block_lower_f64_f32").Launch(
                _stream, new dim3((uint)Ceiling(n, FactorThreads), (uint)Math.Min(n, LargestGrid)), FactorThreads,
                new BlockLowerArgs(lower.Address, c.Address, inverse.Address, (nuint)l.Stride, (nuint)h.Stride, n, block));
        }
    }

    /// <summary>c ← alpha · op(a) · op(b) + beta · c without checks; c is not empty. Operands of mixed types are widened to F32.</summary>
    private void Multiply(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c, double alpha, double beta)
    {
        if (a.Type != b.Type)
        {
            using Tensor? wideA = a.Type == DType.F32 ? null : Converted(a, DType.F32), wideB = b.Type == DType.F32 ? null : Converted(b, DType.F32);
            Multiply(wideA ?? a, transposeA, wideB ?? b, transposeB, c, alpha, beta);
            return;
        }
        if (c.Type != a.Type && c.Type != DType.F32)
        {
            // cuBLAS rounds to the operands' type or to F32 only.
            using Tensor sums = Allocate(DType.F32, c.Rows, c.Columns);
            if (beta != 0)
                Convert(c, sums);
            Multiply(a, transposeA, b, transposeB, sums, alpha, beta);
            Convert(sums, c);
            return;
        }
        _blas.GemmEx(
            transposeB ? Operation.Transpose : Operation.NonTranspose, transposeA ? Operation.Transpose : Operation.NonTranspose,
            c.Columns, c.Rows, transposeA ? a.Rows : a.Columns,
            alpha, b.Address, BlasType(b.Type), Leading(b), a.Address, BlasType(a.Type), Leading(a),
            beta, c.Address, BlasType(c.Type), Leading(c), c.Type == DType.F64 ? ComputeType.Compute64F : ComputeType.Compute32F);
    }

    /// <summary>The lower triangle of a square c ← alpha · op(a) · op(b) + beta · c; what is above it is undefined.</summary>
    /// <remarks>Halves: 10/16 of the work of the whole product at four times <see cref="WholeProduct"/>, towards one half beyond.</remarks>
    private void MultiplyLower(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c, double alpha, double beta)
    {
        int n = c.Rows;
        if (n <= WholeProduct)
        {
            Multiply(a, transposeA, b, transposeB, c, alpha, beta);
            return;
        }
        int half = Half(n, WholeProduct);
        Tensor upperA = Part(a, transposeA, 0, half), lowerA = Part(a, transposeA, half, n - half);
        Tensor leftB = Part(b, !transposeB, 0, half), rightB = Part(b, !transposeB, half, n - half);
        Multiply(lowerA, transposeA, leftB, transposeB, c.Slice(half, n - half, 0, half), alpha, beta);
        MultiplyLower(upperA, transposeA, leftB, transposeB, c.Slice(0, half, 0, half), alpha, beta);
        MultiplyLower(lowerA, transposeA, rightB, transposeB, c.Slice(half, n - half, half, n - half), alpha, beta);
    }

    /// <summary>The Cholesky factor of an F64 matrix in its place; failure: an int on the device, see <see cref="IBackend.BlockLdl"/>.</summary>
    private void Factorise(Tensor a, nint failure)
    {
        int elements = _solver.PotrfBufferSize(wide: true, FillMode.Upper, a.Rows, a.Address, Leading(a));
        using DeviceMemory workspace = Scratch((long)elements * sizeof(double));
        _solver.Potrf(wide: true, FillMode.Upper, a.Rows, a.Address, Leading(a), workspace.Address, elements, failure);
        Kernel("matrix", "bad_pivot_f64").Launch(_stream, 1, FactorThreads, new BadPivotArgs(failure, a.Address, (nuint)a.Stride, a.Rows));
        OnTriangle("clear_upper", a);
    }

    /// <summary>Launches mirror or clear_upper on a square F32 or F64 matrix.</summary>
    private void OnTriangle(string operation, Tensor c)
    {
        string name = (operation, c.Type) switch
        {
            ("mirror", DType.F32) => "mirror_f32",
            ("mirror", _) => "mirror_f64",
            (_, DType.F32) => "clear_upper_f32",
            _ => "clear_upper_f64",
        };
        uint tiles = (uint)((c.Rows + TileSize - 1) / TileSize);
        Kernel("matrix", name).Launch(_stream, new dim3(tiles, tiles), new dim3(TileSize, TileRows), new TriangleArgs(c.Address, (nuint)c.Stride, c.Rows));
    }

    /// <summary>Some rows of op(x).</summary>
    private static Tensor Part(Tensor x, bool transposed, int row, int rows) => transposed ? x.SliceColumns(row, rows) : x.SliceRows(row, rows);

    /// <summary>About half of n, in whole leaves.</summary>
    private static int Half(int n, int leaf) => (n / 2 + leaf - 1) / leaf * leaf;

    private static int Leading(Tensor tensor) => Math.Max(1, checked((int)tensor.Stride));

    private static BlasDataType BlasType(DType type) => type switch
    {
        DType.F64 => BlasDataType.R64F,
        DType.BF16 => BlasDataType.R16BF,
        DType.F16 => BlasDataType.R16F,
        _ => BlasDataType.R32F,
    };

    private static string DotKernel(DType first, DType second) => (first, second) switch
    {
        (DType.F32, DType.F32) => "dot_f32_f32",
        (DType.F32, DType.F64) => "dot_f32_f64",
        (DType.F32, DType.BF16) => "dot_f32_bf16",
        (DType.F32, DType.F16) => "dot_f32_f16",
        (DType.F64, DType.F64) => "dot_f64_f64",
        (DType.F64, DType.BF16) => "dot_f64_bf16",
        (DType.F64, DType.F16) => "dot_f64_f16",
        (DType.BF16, DType.BF16) => "dot_bf16_bf16",
        (DType.BF16, DType.F16) => "dot_bf16_f16",
        _ => "dot_f16_f16",
    };

    private readonly record struct MultiplyArgs(nint Y, nint X, nuint StrideY, nuint StrideX, nuint Rows, nuint Columns, int Aligned);

    private readonly record struct AxpyArgs<T>(nint Y, nint X, nuint StrideY, nuint StrideX, nuint Rows, nuint Columns, int Aligned, T Alpha) where T : unmanaged;

    private readonly record struct DotArgs(nint Partial, nint X, nint Y, nuint StrideX, nuint StrideY, nuint Rows, nuint Columns);

    private readonly record struct DotTotalArgs(nint Total, nint Partial, int Count);

    private readonly record struct TriangleArgs(nint C, nuint Stride, int N);

    private readonly record struct BadPivotArgs(nint Info, nint Factor, nuint Stride, int N);

    private readonly record struct BlockDiagonalArgs(nint Inverse, nint D, nint C, nuint StrideC, nuint StrideD, int Block);

    private readonly record struct BlockLowerArgs(nint L, nint C, nint Inverse, nuint StrideL, nuint StrideC, int N, int Block);
}
