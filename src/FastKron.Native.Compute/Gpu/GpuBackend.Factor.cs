using FastKron.Native.Compute.Tensors;
using FastKron.Native.Cuda;

namespace FastKron.Native.Compute.Gpu;

public sealed unsafe partial class GpuBackend
{
    // kernels/factor.cu
    private const int RootThreads = 256, RootOrder = 128;

    // kernels/lanczos.cu
    private const int SweepThreads = 256, BasisLimit = 34, PlainBasisLimit = 8;

    /// <inheritdoc/>
    public int InverseRoot(Tensor h, out double logDeterminant)
    {
        Enter();
        MatrixArguments.InverseRoot(onHost: false, h);
        logDeterminant = 0;
        if (h.Rows == 0)
            return 0;
        using DeviceMemory state = Scratch(sizeof(RootState));
        OnTriangle("clear_upper", h);
        InvertRoot(h, 0, state.Address);
        RootState found;
        _staging.Download(state.Address, &found, sizeof(RootState));
        logDeterminant = found.LogDeterminant;
        return found.Failed;
    }

    /// <inheritdoc/>
    public double Orthogonalize(IReadOnlyList<Tensor> basis, Tensor x)
    {
        Enter();
        MatrixArguments.Orthogonalize(onHost: false, basis, x);
        if (x.Length == 0)
            return 0;
        bool wide = x.Type == DType.F32 && x.Length % ThreadElements == 0 && IsAligned(x) && basis.All(IsAligned);
        int limit = wide ? BasisLimit : PlainBasisLimit;
        using DeviceMemory coefficients = Scratch(((long)Math.Max(basis.Count, 1) + 1) * sizeof(double));
        nint square = coefficients.Address + basis.Count * sizeof(double);
        if (basis.Count <= limit)
        {
            // Three readings of the basis: the second subtracts what the first found and finds what the third subtracts.
            Sweep(basis, 0, x, wide, 0, coefficients.Address);
            Sweep(basis, 0, x, wide, coefficients.Address, coefficients.Address);
            Sweep(basis, 0, x, wide, coefficients.Address, square, squares: true);
        }
        else
        {
            for (int pass = 0; pass < 2; pass++)
            {
                for (int first = 0; first < basis.Count; first += limit)
                    Sweep(basis, first, x, wide, 0, coefficients.Address + first * sizeof(double));
                for (int first = 0; first < basis.Count; first += limit)
                    Sweep(basis, first, x, wide, coefficients.Address + first * sizeof(double), square, squares: true);
            }
        }
        double result;
        _staging.Download(square, &result, sizeof(double));
        return Math.Sqrt(result);
    }

    /// <summary>H ← L⁻¹, from a diagonal block to the next: (A ·; C B) with A⁻¹ → a, T = C aᵀ, U = T a, (B − T Tᵀ)⁻¹ → b gives (a 0; −b U  b).</summary>
    /// <param name="h">Zero above the diagonal.</param>
    /// <param name="offset">Of h's first row in the whole matrix.</param>
    /// <param name="state">Pivots and determinant so far.</param>
    private void InvertRoot(Tensor h, int offset, nint state)
    {
        int n = h.Rows;
        if (n <= RootOrder)
        {
            Kernel("factor", "inverse_root_f64").Launch(_stream, 1, RootThreads, new InverseRootArgs(h.Address, (nuint)h.Stride, n, offset, state));
            return;
        }
        int half = Half(n, RootOrder), rest = n - half;
        Tensor a = h.Slice(0, half, 0, half), b = h.Slice(half, rest, half, rest), c = h.Slice(half, rest, 0, half);
        InvertRoot(a, offset, state);
        using Tensor u = Allocate(DType.F64, rest, half);
        using (Tensor t = Allocate(DType.F64, rest, half))
        {
            Multiply(c, false, a, true, t, 1, 0);
            _blas.Syrk(FillMode.Upper, Operation.Transpose, rest, half, -1.0, t.Address, Leading(t), 1.0, b.Address, Leading(b));
            Multiply(t, false, a, false, u, 1, 0);
        }
        InvertRoot(b, offset + half, state);
        Multiply(b, false, u, false, c, -1, 0);
    }

    /// <summary>x ← x − Σ c_i q_i over the basis from <paramref name="first"/> on (none where coefficients is 0), and its products with the q_i, or with itself.</summary>
    /// <remarks>The coefficients may lie where the products go: they are read before.</remarks>
    private void Sweep(IReadOnlyList<Tensor> basis, int first, Tensor x, bool wide, nint coefficients, nint products, bool squares = false)
    {
        int count = Math.Min(wide ? BasisLimit : PlainBasisLimit, basis.Count - first), results = squares ? 1 : count;
        if (results == 0)
            return;
        CudaKernel kernel = Kernel("lanczos", SweepKernel(x.Type, wide, count));
        int blocks = kernel.MaxActiveBlocks(SweepThreads) * _multiprocessors;
        using DeviceMemory parts = Scratch((long)results * blocks * sizeof(double));
        var args = new SweepArgs { X = x.Address, Coefficients = coefficients, Products = parts.Address, Length = (nuint)x.Length, Count = count, Projects = squares ? 0 : 1 };
        for (int i = 0; i < count; i++)
            args.Vectors[i] = basis[first + i].Address;
        kernel.Launch(_stream, blocks, SweepThreads, args);
        Kernel("lanczos", "sweep_totals").Launch(_stream, results, SweepThreads, new SweepTotalsArgs(products, parts.Address, blocks));
    }

    private static string SweepKernel(DType type, bool wide, int count) => (type, wide, count) switch
    {
        (DType.F64, _, _) => "sweep_any_f64",
        (_, false, _) => "sweep_any_f32",
        (_, _, <= 8) => "sweep_8_f32",
        (_, _, <= 16) => "sweep_16_f32",
        (_, _, <= 24) => "sweep_24_f32",
        _ => "sweep_34_f32",
    };

    private static bool IsAligned(Tensor tensor) => tensor.Address % PackBytes == 0;

    private readonly record struct InverseRootArgs(nint H, nuint Stride, int N, int Offset, nint State);

    private struct SweepArgs
    {
        public nint X;
        public fixed long Vectors[BasisLimit];
        public nint Coefficients;
        public nint Products;
        public nuint Length;
        public int Count;
        public int Projects;
    }

    private struct RootState
    {
        public double LogDeterminant;
        public int Failed;
    }

    private readonly record struct SweepTotalsArgs(nint Totals, nint Parts, int Blocks);
}
