using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute;

/// <summary>Matrices of one shape (m, n) that are rounded together, above each other in every tensor.</summary>
/// <remarks>Owns nothing. While they are rounded, tiles that are done hold the second meaning of each of w, u, v.</remarks>
public sealed class RoundingBatch
{
    private const int Alignment = 16;

    /// <summary>Checks and keeps the tensors: F32, without gaps, their first elements at multiples of 16 bytes.</summary>
    /// <param name="matrices">How many.</param>
    /// <param name="w">(matrices · m, n): W, then E = W − Ŵ; m and n multiples of 16.</param>
    /// <param name="u">(matrices · m, n): U = E·l_in, then Z = E + U. Need not be initialised.</param>
    /// <param name="v">(matrices · m, n): V = l_outᵀ·Z, then S = L_outᵀ·E·L_in. Need not be initialised.</param>
    /// <param name="lOut">(matrices · m, m): L_out − I, strictly block-lower with blocks of 16; null where all are 0.</param>
    /// <param name="lIn">(matrices · n, n): L_in − I likewise.</param>
    /// <exception cref="ArgumentException">A tensor does not fit.</exception>
    public RoundingBatch(int matrices, Tensor w, Tensor u, Tensor v, Tensor? lOut, Tensor? lIn)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(matrices, 1);
        if (w.Rows == 0 || w.Rows % (matrices * TileDiagonal.TileRows) != 0 || w.Columns == 0 || w.Columns % TileDiagonal.TileRows != 0)
            throw new ArgumentException($"w: expected {matrices} matrices with multiples of {TileDiagonal.TileRows} rows and columns, found {w}", nameof(w));
        (Matrices, Rows, Columns) = (matrices, w.Rows / matrices, w.Columns);
        (W, U, V, LOut, LIn) = (w, u, v, lOut, lIn);
        Require(w, w.Rows, Columns, nameof(w));
        Require(u, w.Rows, Columns, nameof(u));
        Require(v, w.Rows, Columns, nameof(v));
        if (lOut is not null)
            Require(lOut, w.Rows, Rows, nameof(lOut));
        if (lIn is not null)
            Require(lIn, matrices * Columns, Columns, nameof(lIn));
    }

    /// <summary>Number of matrices.</summary>
    public int Matrices { get; }

    /// <summary>m.</summary>
    public int Rows { get; }

    /// <summary>n.</summary>
    public int Columns { get; }

    /// <summary>W, then E.</summary>
    public Tensor W { get; }

    /// <summary>U, then Z.</summary>
    public Tensor U { get; }

    /// <summary>V, then S.</summary>
    public Tensor V { get; }

    /// <summary>L_out − I, or null.</summary>
    public Tensor? LOut { get; }

    /// <summary>L_in − I, or null.</summary>
    public Tensor? LIn { get; }

    private void Require(Tensor tensor, int rows, int columns, string name)
    {
        TensorArguments.RequireMemory(tensor, W.IsHost, name);
        TensorArguments.RequireType(tensor, DType.F32, name);
        TensorArguments.RequireShape(tensor, rows, columns, name);
        TensorArguments.RequireContiguous(tensor, name);
        if (tensor.Address % Alignment != 0)
            throw new ArgumentException($"{name}: expected its first element at a multiple of {Alignment} bytes, found {tensor}", name);
    }
}
