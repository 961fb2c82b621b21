namespace FastKron.Native.Models;

/// <summary>A block while somebody works with it; see <see cref="DecoderModel.Open"/>.</summary>
/// <param name="Block">The block.</param>
/// <param name="Owns">Whether its weights are freed with the lease.</param>
public readonly record struct BlockLease(DecoderBlock Block, bool Owns) : IDisposable
{
    /// <summary>Frees weights that do not stay on the backend.</summary>
    public void Dispose()
    {
        if (Owns)
            Block.Dispose();
    }
}
