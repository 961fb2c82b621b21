using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute;

/// <summary>Checks of the arguments of the incoherence, trellis and tile operations, the same on every backend.</summary>
internal static class TrellisArguments
{
    /// <summary>Checks <see cref="IBackend.Hadamard"/>.</summary>
    public static void Hadamard(bool onHost, Tensor x, HadamardFactor factor, Tensor? scale, HadamardAxis axis)
    {
        TensorArguments.RequireMemory(x, onHost);
        TensorArguments.RequireSingleOrDouble(x);
        if (axis == HadamardAxis.Rows)
            TensorArguments.RequireShape(x, x.Rows, factor.Size);
        else
            TensorArguments.RequireShape(x, factor.Size, x.Columns);
        if (scale is null)
            return;
        TensorArguments.RequireMemory(scale, onHost);
        TensorArguments.RequireType(scale, DType.F32);
        TensorArguments.RequireShape(scale, 1, factor.Size);
    }

    /// <summary>Checks <see cref="IBackend.EncodeTiles"/> (targets) and <see cref="IBackend.DecodeTiles"/> (values).</summary>
    public static void PathTiles(bool onHost, TrellisCodebook codebook, Tensor weights, Tensor states)
    {
        TensorArguments.RequireMemory(weights, onHost);
        TensorArguments.RequireMemory(states, onHost);
        TensorArguments.RequireType(weights, DType.F32);
        TensorArguments.RequireType(states, DType.U16);
        TensorArguments.RequireShape(weights, states.Rows, TrellisCodebook.TileSize);
        TensorArguments.RequireShape(states, weights.Rows, codebook.Steps);
    }

    /// <summary>Checks <see cref="IBackend.DecodeMatrix"/>.</summary>
    public static void DecodeMatrix(bool onHost, TrellisMatrix weights, Tensor dense)
    {
        Packed(onHost, weights);
        TensorArguments.RequireMemory(dense, onHost);
        TensorArguments.RequireShape(dense, weights.Rows, weights.Columns);
        if (dense.Type is not (DType.F32 or DType.BF16 or DType.F16))
            throw new ArgumentException($"{nameof(dense)}: expected F32, BF16 or F16, found {dense}", nameof(dense));
    }

    /// <summary>Checks <see cref="IBackend.TrellisMatMul"/>, but for the types that a backend takes.</summary>
    public static void MatMul(bool onHost, Tensor x, TrellisMatrix weights, Tensor y)
    {
        Packed(onHost, weights);
        TensorArguments.RequireMemory(x, onHost);
        TensorArguments.RequireMemory(y, onHost);
        TensorArguments.RequireType(y, x.Type);
        TensorArguments.RequireShape(x, y.Rows, weights.Columns);
        TensorArguments.RequireShape(y, x.Rows, weights.Rows);
    }

    /// <summary>Checks <see cref="IBackend.GatherTiles"/> and <see cref="IBackend.ScatterTiles"/>.</summary>
    public static void DiagonalTiles(bool onHost, Tensor matrix, TileDiagonal diagonal, Tensor tiles)
    {
        TensorArguments.RequireMemory(matrix, onHost);
        TensorArguments.RequireMemory(tiles, onHost);
        TensorArguments.RequireType(matrix, DType.F32);
        TensorArguments.RequireType(tiles, DType.F32);
        TensorArguments.RequireShape(tiles, diagonal.Count, TrellisCodebook.TileSize);
        int tileRows = matrix.Rows / TileDiagonal.TileRows, tileColumns = matrix.Columns / TileDiagonal.TileRows;
        int last = diagonal.Count - 1;
        if (last < 0 || diagonal.Row < 0 || diagonal.Row + last >= tileRows || diagonal.Column - last < 0 || diagonal.Column >= tileColumns)
            throw new ArgumentException($"{diagonal} leaves the {tileRows} x {tileColumns} tiles of {matrix}", nameof(diagonal));
    }

    private static void Packed(bool onHost, TrellisMatrix weights)
    {
        TrellisPacking.CheckSizes(weights.Layout, weights.Rows, weights.Columns);
        Tensor codes = weights.Codes;
        TensorArguments.RequireMemory(codes, onHost);
        TensorArguments.RequireType(codes, DType.U16);
        TensorArguments.RequireShape(codes, weights.Rows / 16 * (weights.Columns / 16), weights.Codebook.PackedWords);
        if (!codes.IsContiguous)
            throw new ArgumentException($"codes: expected contiguous rows, found {codes}", nameof(weights));
    }
}
