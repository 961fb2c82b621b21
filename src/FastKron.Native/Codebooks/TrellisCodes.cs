using FastKron.Native.Compute;

namespace FastKron.Native.Codebooks;

/// <summary>The trellis codes the engine knows, by the name that checkpoints use.</summary>
public static class TrellisCodes
{
    /// <summary>HYB: L = 16, V = 2, 9-bit table with a sign bit (<c>quantlut_sym</c>), with the engine's own table.</summary>
    /// <param name="bits">K: 2, 3 or 4.</param>
    public static TrellisCodebook Hybrid(int bits) => throw new NotImplementedException();

    /// <summary>HYB with the table of a checkpoint.</summary>
    /// <param name="bits">K: 2, 3 or 4.</param>
    /// <param name="table">(512, 2) float16 bits.</param>
    public static TrellisCodebook Hybrid(int bits, ReadOnlySpan<ushort> table) => throw new NotImplementedException();
}
