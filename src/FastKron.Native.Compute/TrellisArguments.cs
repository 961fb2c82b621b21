using System.Runtime.CompilerServices;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Compute;

/// <summary>Checks of the arguments of the incoherence and trellis operations, the same on every backend.</summary>
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
        if (scale is not null)
            HadamardScale(onHost, factor, scale);
    }

    /// <summary>Checks <see cref="IBackend.HadamardRows"/>.</summary>
    public static void HadamardRows(bool onHost, Tensor x, HadamardFactor factor, Tensor? scale, Tensor y)
    {
        RequireNarrow(onHost, x);
        RequireNarrow(onHost, y);
        TensorArguments.RequireShape(x, x.Rows, factor.Size);
        TensorArguments.RequireShape(y, x.Rows, factor.Size);
        if (scale is not null)
            HadamardScale(onHost, factor, scale);
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
        RequireNarrow(onHost, dense);
        TensorArguments.RequireShape(dense, weights.Rows, weights.Columns);
    }

    /// <summary>Checks <see cref="IBackend.TrellisMatMul"/>.</summary>
    public static void MatMul(bool onHost, Tensor x, TrellisMatrix weights, Tensor y)
    {
        Packed(onHost, weights);
        TensorArguments.RequireMemory(x, onHost);
        TensorArguments.RequireMemory(y, onHost);
        TensorArguments.RequireType(x, DType.F32);
        TensorArguments.RequireType(y, DType.F32);
        TensorArguments.RequireShape(x, y.Rows, weights.Columns);
        TensorArguments.RequireShape(y, x.Rows, weights.Rows);
    }

    /// <summary>Checks <see cref="IBackend.PackTiles"/>; gives the number of matrices.</summary>
    public static int PackTiles(bool onHost, TrellisCodebook codebook, TrellisLayout layout, Tensor states, TileDiagonal diagonal, Tensor codes, int tileColumns)
    {
        TensorArguments.RequireMemory(states, onHost);
        TensorArguments.RequireMemory(codes, onHost);
        TensorArguments.RequireType(states, DType.U16);
        TensorArguments.RequireType(codes, DType.U16);
        if (codebook.StepBits > 8)
            throw new ArgumentException($"{codebook.Name} with {codebook.StepBits} bits a step; expected at most 8", nameof(codebook));
        if (diagonal.Count < 1 || states.Rows % diagonal.Count != 0 || states.Rows == 0)
            throw new ArgumentException($"states: expected rows of a multiple of {diagonal.Count} tiles, found {states}", nameof(states));
        int matrices = states.Rows / diagonal.Count;
        TensorArguments.RequireShape(states, states.Rows, codebook.Steps);
        if (tileColumns < 1 || codes.Rows % (matrices * tileColumns) != 0)
            throw new ArgumentException($"codes: expected rows of a multiple of {matrices} x {tileColumns} tiles, found {codes}", nameof(codes));
        TensorArguments.RequireShape(codes, codes.Rows, codebook.PackedWords);
        TensorArguments.RequireContiguous(states);
        TensorArguments.RequireContiguous(codes);
        int tileRows = codes.Rows / (matrices * tileColumns);
        TrellisPacking.CheckSizes(layout, tileRows * TileDiagonal.TileRows, tileColumns * TileDiagonal.TileRows);
        RoundingArguments.RequireInside(diagonal, tileRows, tileColumns);
        return matrices;
    }

    private static void HadamardScale(bool onHost, HadamardFactor factor, Tensor scale)
    {
        TensorArguments.RequireMemory(scale, onHost);
        TensorArguments.RequireType(scale, DType.F32);
        TensorArguments.RequireShape(scale, 1, factor.Size);
    }

    private static void RequireNarrow(bool onHost, Tensor tensor, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        TensorArguments.RequireMemory(tensor, onHost, name);
        if (tensor.Type is not (DType.F32 or DType.BF16 or DType.F16))
            throw new ArgumentException($"{name}: expected F32, BF16 or F16, found {tensor}", name);
    }

    private static void Packed(bool onHost, TrellisMatrix weights)
    {
        TrellisPacking.CheckSizes(weights.Layout, weights.Rows, weights.Columns);
        Tensor codes = weights.Codes;
        TensorArguments.RequireMemory(codes, onHost);
        TensorArguments.RequireType(codes, DType.U16);
        TensorArguments.RequireShape(codes, weights.Rows / 16 * (weights.Columns / 16), weights.Codebook.PackedWords);
        TensorArguments.RequireContiguous(codes);
    }
}
