namespace FastKron.Native.Generation;

/// <summary>Keys and values of the tokens seen so far, for one block and several sequences in lockstep.</summary>
public sealed class KeyValueCache : IDisposable
{
    /// <summary>Frees the memory.</summary>
    public void Dispose()
    {
    }
}
