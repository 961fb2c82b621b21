using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Rounding;

/// <summary>Replaces 16 × 16 tiles by the nearest ones that the code can store. Rounding knows nothing else about codes.</summary>
public interface ITileQuantizer
{
    /// <summary>Tells the order of the 256 weights of a tile.</summary>
    TrellisLayout Layout { get; }

    /// <summary>values ← Q(targets), each tile on its own. Called once for every anti-diagonal, from the bottom right of the matrices to their top left.</summary>
    /// <param name="diagonal">Where the tiles lie, in every matrix.</param>
    /// <param name="targets">(matrices · tiles, 256) F32.</param>
    /// <param name="values">Like targets, out.</param>
    void Quantize(TileDiagonal diagonal, Tensor targets, Tensor values);
}
