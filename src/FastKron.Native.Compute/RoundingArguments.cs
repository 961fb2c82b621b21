using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute;

/// <summary>Checks of the arguments of the rounding operations, the same on every backend.</summary>
internal static class RoundingArguments
{
    /// <summary>Checks <see cref="IBackend.RoundingTargets"/> and <see cref="IBackend.RoundingErrors"/>.</summary>
    public static void Tiles(bool onHost, RoundingBatch stack, TileDiagonal diagonal, params ReadOnlySpan<Tensor> tiles)
    {
        TensorArguments.RequireMemory(stack.W, onHost);
        RequireInside(diagonal, stack.Rows / TileDiagonal.TileRows, stack.Columns / TileDiagonal.TileRows);
        foreach (Tensor tile in tiles)
        {
            TensorArguments.RequireMemory(tile, onHost);
            TensorArguments.RequireType(tile, DType.F32);
            TensorArguments.RequireShape(tile, stack.Matrices * diagonal.Count, TrellisCodebook.TileSize);
            TensorArguments.RequireContiguous(tile);
        }
    }

    /// <summary>Checks <see cref="IBackend.RoundingLoss"/>.</summary>
    public static void Loss(bool onHost, Tensor s, Tensor? dOut, Tensor? dIn, Tensor losses)
    {
        TensorArguments.RequireMemory(s, onHost);
        TensorArguments.RequireMemory(losses, onHost);
        TensorArguments.RequireType(s, DType.F32);
        TensorArguments.RequireType(losses, DType.F64);
        TensorArguments.RequireShape(losses, losses.Rows, 1);
        TensorArguments.RequireContiguous(s);
        TensorArguments.RequireContiguous(losses);
        if (losses.Rows == 0 || s.Rows % (losses.Rows * TileDiagonal.TileRows) != 0 || s.Columns % TileDiagonal.TileRows != 0)
            throw new ArgumentException($"s: expected {losses.Rows} matrices of whole {TileDiagonal.TileRows} x {TileDiagonal.TileRows} tiles, found {s}", nameof(s));
        RequireBlocks(onHost, dOut, s.Rows);
        RequireBlocks(onHost, dIn, losses.Rows * s.Columns);
    }

    /// <summary>Checks <see cref="IBackend.BalanceEnergy"/>.</summary>
    public static void Balance(bool onHost, Tensor w, int sweeps, Tensor r, Tensor c)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sweeps);
        foreach (Tensor tensor in new[] { w, r, c })
        {
            TensorArguments.RequireMemory(tensor, onHost);
            TensorArguments.RequireContiguous(tensor);
        }
        TensorArguments.RequireType(w, DType.F32);
        TensorArguments.RequireType(r, DType.F64);
        TensorArguments.RequireType(c, DType.F64);
        TensorArguments.RequireShape(c, r.Rows, w.Columns);
        TensorArguments.RequireShape(w, r.Rows * r.Columns, w.Columns);
    }

    /// <summary>Requires tiles of a matrix.</summary>
    public static void RequireInside(TileDiagonal diagonal, int tileRows, int tileColumns)
    {
        int last = diagonal.Count - 1;
        if (last < 0 || diagonal.Row < 0 || diagonal.Row + last >= tileRows || diagonal.Column - last < 0 || diagonal.Column >= tileColumns)
            throw new ArgumentException($"{diagonal} leaves a matrix of {tileRows} x {tileColumns} tiles", nameof(diagonal));
    }

    private static void RequireBlocks(bool onHost, Tensor? d, int rows)
    {
        if (d is null)
            return;
        TensorArguments.RequireMemory(d, onHost);
        TensorArguments.RequireType(d, DType.F64);
        TensorArguments.RequireShape(d, rows, TileDiagonal.TileRows);
        TensorArguments.RequireContiguous(d);
    }
}
