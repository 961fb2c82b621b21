using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Fisher;

namespace FastKron.Native.Tests.Fisher;

/// <summary>Orthonormal bases of the row spaces of D (T, m) and X (T, n): few gradients live in a small space, where 60 iterations are
/// cheap.</summary>
/// <remarks>
/// G_k = Q_Dᵀ C_k Q_X with C_k the gradients of the coordinates. Power iterations from B = I see only G_k G_kᵀ and the like, so the pair
/// of the C_k, expanded with the bases, is exactly the pair of the G_k. (Not so for the likelihood: its ε acts on the whole space.)
/// </remarks>
internal sealed class GradientSpan : IDisposable
{
    private readonly IBackend _backend;
    private readonly Tensor _basisX, _basisD;   // (r, n), (r, m), orthonormal rows

    public GradientSpan(IBackend backend, (Tensor X, Tensor D) observed)
    {
        _backend = backend;
        (_basisX, _basisD) = (Basis(observed.X), Basis(observed.D));
        Coordinates = (Project(observed.X, _basisX), Project(observed.D, _basisD));
    }

    /// <summary>X Q_Xᵀ and D Q_Dᵀ: (T, r).</summary>
    public (Tensor X, Tensor D) Coordinates { get; }

    /// <summary>Q_Dᵀ A Q_D and Q_Xᵀ B Q_X in F64, mean diagonal 1.</summary>
    public SolvedFactors Expand(SolvedFactors reduced) => new(Expand(reduced.HOut, _basisD), Expand(reduced.HIn, _basisX), reduced.Evidence);

    public void Dispose()
    {
        _basisX.Dispose();
        _basisD.Dispose();
        Coordinates.X.Dispose();
        Coordinates.D.Dispose();
    }

    // Gram–Schmidt, each row twice against all earlier ones; a row inside their span is dropped.
    private Tensor Basis(Tensor rows)
    {
        var basis = new List<double[]>();
        for (int t = 0; t < rows.Rows; t++)
        {
            double[] row = rows.Row<double>(t).ToArray();
            double before = Norm(row);
            for (int pass = 0; pass < 2; pass++)
            {
                foreach (double[] direction in basis)
                {
                    double dot = System.Numerics.Tensors.TensorPrimitives.Dot<double>(row, direction);
                    System.Numerics.Tensors.TensorPrimitives.MultiplyAdd(direction, -dot, row, row);
                }
            }
            double after = Norm(row);
            if (after <= 1e-12 * before)
                continue;
            basis.Add([.. row.Select(v => v / after)]);
        }
        Tensor result = _backend.Allocate(DType.F64, basis.Count, rows.Columns);
        for (int r = 0; r < basis.Count; r++)
            basis[r].CopyTo(result.Row<double>(r));
        return result;
    }

    private Tensor Project(Tensor rows, Tensor basis)
    {
        Tensor coordinates = _backend.Allocate(DType.F64, rows.Rows, basis.Rows);
        _backend.MatMul(rows, false, basis, true, coordinates);
        return coordinates;
    }

    private Tensor Expand(Tensor factor, Tensor basis)
    {
        using Tensor wide = _backend.Allocate(DType.F64, factor.Rows, factor.Columns), half = _backend.Allocate(DType.F64, factor.Rows, basis.Columns);
        _backend.Convert(factor, wide);
        _backend.MatMul(wide, false, basis, false, half);
        Tensor expanded = _backend.Allocate(DType.F64, basis.Columns, basis.Columns);
        _backend.MatMul(basis, true, half, false, expanded);
        _backend.Scale(1 / _backend.MeanDiagonal(expanded), expanded);
        return expanded;
    }

    private static double Norm(double[] row) => System.Numerics.Tensors.TensorPrimitives.Norm<double>(row);
}
