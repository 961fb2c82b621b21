namespace FastKron.Native.Tokenizers;

/// <summary>The merge rules of byte-pair encoding: which two neighbouring tokens become one, and which rule comes first.</summary>
internal sealed class MergeTable
{
    /// <summary>What <see cref="Find"/> gives for a pair without rule; greater than every rule.</summary>
    public const long None = long.MaxValue;

    private readonly ulong[] _pairs;                         // open addressing; (left, right) as left · 2³² + right
    private readonly long[] _rules;                          // rank · 2³² + merged id, None for an empty slot

    /// <summary>An empty table with room for <paramref name="count"/> rules.</summary>
    public MergeTable(int count)
    {
        int capacity = 16;
        while (capacity < 2 * (long)count)
            capacity *= 2;
        _pairs = new ulong[capacity];
        _rules = new long[capacity];
        _rules.AsSpan().Fill(None);
    }

    /// <summary>Adds a rule; the later of two rules for one pair holds, as in the Hugging Face library.</summary>
    public void Add(int left, int right, int rank, int merged)
    {
        ulong pair = Pair(left, right);
        int slot = Slot(pair);
        (_pairs[slot], _rules[slot]) = (pair, ((long)rank << 32) | (uint)merged);
    }

    /// <summary>The rule for two neighbours as rank · 2³² + merged id, so that the smaller value is the earlier rule; <see cref="None"/> without one.</summary>
    public long Find(int left, int right) => _rules[Slot(Pair(left, right))];

    private static ulong Pair(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;

    private int Slot(ulong pair)
    {
        int mask = _pairs.Length - 1;
        int slot = (int)SpanHash.Compute(pair) & mask;
        while (_rules[slot] != None && _pairs[slot] != pair)
            slot = (slot + 1) & mask;
        return slot;
    }
}
