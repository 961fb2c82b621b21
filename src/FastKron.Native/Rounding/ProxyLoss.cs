using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Rounding;

/// <summary>The quadratic model of the loss, tr(X B Xᵀ A), with damped factors; an absent factor is the identity.</summary>
/// <remarks>With S = L_outᵀ X L_in it is Σ_ij tr(D_out,i S_ij D_in,j S_ijᵀ) over 16 × 16 tiles; summed in float64.</remarks>
public static class ProxyLoss
{
    private const int Tile = TileDiagonal.TileRows;

    // Rows widened to float64 at a time.
    private const int StripRows = 128;

    /// <summary>tr(X B Xᵀ A) of a matrix; waits.</summary>
    /// <param name="backend">Where everything lies.</param>
    /// <param name="x">(m, n) F32.</param>
    /// <param name="a">A (m, m), or null.</param>
    /// <param name="b">B (n, n), or null.</param>
    public static double OfMatrix(IBackend backend, Tensor x, DampedFactor? a, DampedFactor? b)
    {
        using Tensor right = backend.Allocate(DType.F32, x.Rows, x.Columns);
        using Tensor both = backend.Allocate(DType.F32, x.Rows, x.Columns);
        backend.Convert(x, right);
        if (b is not null)
            backend.MatMul(x, false, b.Lower, false, right, beta: 1);
        backend.Convert(right, both);
        if (a is not null)
            backend.MatMul(a.Lower, true, right, false, both, beta: 1);
        return OfResidual(backend, both, a, b);
    }

    /// <summary>tr(E B Eᵀ A) from S = L_outᵀ E L_in, as <see cref="TwoSidedRounding"/> leaves it; waits.</summary>
    /// <param name="backend">Where everything lies.</param>
    /// <param name="s">(m, n) F32.</param>
    /// <param name="a">A (m, m), or null.</param>
    /// <param name="b">B (n, n), or null.</param>
    public static double OfResidual(IBackend backend, Tensor s, DampedFactor? a, DampedFactor? b)
    {
        if (a is null && b is null)
            return backend.Dot(s, s);
        double sum = 0;
        int height = Math.Min(StripRows, s.Rows);
        using Tensor widened = backend.Allocate(DType.F64, height, s.Columns);
        using Tensor left = backend.Allocate(DType.F64, height, s.Columns);
        using Tensor right = backend.Allocate(DType.F64, height, s.Columns);
        for (int row = 0; row < s.Rows; row += StripRows)
        {
            int rows = Math.Min(StripRows, s.Rows - row);
            Tensor x = widened.SliceRows(0, rows), ax = x, xb = x;
            backend.Convert(s.SliceRows(row, rows), x);
            if (a is not null)
            {
                ax = left.SliceRows(0, rows);
                for (int i = 0; i < rows; i += Tile)
                    backend.MatMul(a.Diagonal.SliceRows(row + i, Tile), false, x.SliceRows(i, Tile), false, ax.SliceRows(i, Tile));
            }
            if (b is not null)
            {
                xb = right.SliceRows(0, rows);
                for (int j = 0; j < s.Columns; j += Tile)
                    backend.MatMul(x.SliceColumns(j, Tile), false, b.Diagonal.SliceRows(j, Tile), false, xb.SliceColumns(j, Tile));
            }
            sum += backend.Dot(ax, xb);
        }
        return sum;
    }
}
