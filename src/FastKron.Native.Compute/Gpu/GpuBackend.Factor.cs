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
    public void InverseRoots(Tensor h, Tensor logDeterminants, Tensor failures)
    {
        Enter();
        MatrixArguments.InverseRoots(onHost: false, h, logDeterminants, failures);
        int n = h.Columns;
        if (n == 0)
        {
            Fill(logDeterminants, 0);
            Fill(failures, 0);
            return;
        }
        Tensor[] matrices = [.. Enumerable.Range(0, failures.Rows).Select(matrix => h.SliceRows(matrix * n, n))];
        foreach (Tensor matrix in matrices)
            OnTriangle("clear_upper", matrix);
        if (matrices.Length > 0)
            InvertRoots(matrices, 0, (nuint)(n * h.Stride), logDeterminants.Address, failures.Address);
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
    /// <remarks>The diagonal blocks of all matrices at once: one occupies a single multiprocessor.</remarks>
    /// <param name="matrices">Zero above the diagonal.</param>
    /// <param name="offset">Of their first rows in the whole matrices.</param>
    /// <param name="step">Elements from one to the next.</param>
    /// <param name="logDeterminants">So far, one for each matrix.</param>
    /// <param name="failures">So far, one for each matrix.</param>
    private void InvertRoots(Tensor[] matrices, int offset, nuint step, nint logDeterminants, nint failures)
    {
        int n = matrices[0].Rows;
        if (n <= RootOrder)
        {
            var args = new InverseRootArgs(matrices[0].Address, step, (nuint)matrices[0].Stride, n, offset, logDeterminants, failures);
            Kernel("factor", "inverse_root_f64").Launch(_stream, matrices.Length, RootThreads, args);
            return;
        }
        int half = Half(n, RootOrder), rest = n - half;
        Tensor[] a = [.. matrices.Select(h => h.Slice(0, half, 0, half))], b = [.. matrices.Select(h => h.Slice(half, rest, half, rest))];
        InvertRoots(a, offset, step, logDeterminants, failures);
        using Tensor allU = Allocate(DType.F64, matrices.Length * rest, half);
        using (Tensor t = Allocate(DType.F64, rest, half))
        {
            for (int i = 0; i < matrices.Length; i++)
            {
                Multiply(matrices[i].Slice(half, rest, 0, half), false, a[i], true, t, 1, 0);
                _blas.Syrk(FillMode.Upper, Operation.Transpose, rest, half, -1.0, t.Address, Leading(t), 1.0, b[i].Address, Leading(b[i]));
                Multiply(t, false, a[i], false, allU.SliceRows(i * rest, rest), 1, 0);
            }
        }
        InvertRoots(b, offset + half, step, logDeterminants, failures);
        for (int i = 0; i < matrices.Length; i++)
            Multiply(b[i], false, allU.SliceRows(i * rest, rest), false, matrices[i].Slice(half, rest, 0, half), -1, 0);
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

    private readonly record struct InverseRootArgs(nint H, nuint Step, nuint Stride, int N, int Offset, nint LogDeterminants, nint Failures);

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

    private readonly record struct SweepTotalsArgs(nint Totals, nint Parts, int Blocks);
}
