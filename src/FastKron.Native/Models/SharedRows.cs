namespace FastKron.Native.Models;

/// <summary>Batch rows of a sequence whose first tokens it shares with others: see <see cref="PackedBatch.CreateShared"/>.</summary>
/// <param name="SharedStart">Row of its first token.</param>
/// <param name="SharedCount">Tokens that it shares.</param>
/// <param name="OwnStart">Row of the first token behind them.</param>
public readonly record struct SharedRows(int SharedStart, int SharedCount, int OwnStart)
{
    /// <summary>Row of the token at a position of the sequence.</summary>
    public int this[int position] => position < SharedCount ? SharedStart + position : OwnStart + position - SharedCount;
}
