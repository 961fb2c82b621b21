namespace FastKron.Native.Tokenizers;

/// <summary>The model's vocabulary: the bytes of each token id, and the id of a byte string.</summary>
internal sealed class TokenTable
{
    private byte[] _bytes = new byte[1 << 16];               // all tokens, one after the other
    private int[] _starts = [];                              // (ids) offset in _bytes, −1 for an id without token
    private int[] _lengths = [];                             // (ids)
    private int[] _slots = [];                               // open addressing: id + 1, 0 for empty; twice as many as tokens, a power of two
    private int _used;

    /// <summary>Tokens in the table.</summary>
    public int Count { get; private set; }

    /// <summary>One past the largest id.</summary>
    public int Size { get; private set; }

    /// <summary>Adds a token that pieces of text can become.</summary>
    /// <returns>False if the id has a token already.</returns>
    public bool TryAdd(int id, ReadOnlySpan<byte> bytes)
    {
        if (Contains(id))
            return false;
        if (id >= _starts.Length)
        {
            int old = _starts.Length, grown = Math.Max(id + 1, 2 * old);
            Array.Resize(ref _starts, grown);
            Array.Resize(ref _lengths, grown);
            _starts.AsSpan(old).Fill(-1);
        }
        if (_used + bytes.Length > _bytes.Length)
            Array.Resize(ref _bytes, Math.Max(2 * _bytes.Length, _used + bytes.Length));
        bytes.CopyTo(_bytes.AsSpan(_used));
        (_starts[id], _lengths[id]) = (_used, bytes.Length);
        _used += bytes.Length;
        Count++;
        Size = Math.Max(Size, id + 1);
        return true;
    }

    /// <summary>Whether an id has a token.</summary>
    public bool Contains(int id) => (uint)id < (uint)_starts.Length && _starts[id] >= 0;

    /// <summary>Bytes of a token that <see cref="Contains"/>.</summary>
    public ReadOnlySpan<byte> this[int id] => _bytes.AsSpan(_starts[id], _lengths[id]);

    /// <summary>Makes <see cref="Find"/> usable, once all tokens are added.</summary>
    /// <param name="findable">Whether text may become the token of an id; tokens spelled outside the byte alphabet cannot.</param>
    /// <returns>The first two ids with the same bytes, or null.</returns>
    public (int First, int Second)? Index(Func<int, bool> findable)
    {
        int capacity = 16;
        while (capacity < 2 * Count)
            capacity *= 2;
        _slots = new int[capacity];
        for (int id = 0; id < Size; id++)
        {
            if (!Contains(id) || !findable(id))
                continue;
            int slot = Slot(this[id]);
            if (_slots[slot] != 0)
                return (_slots[slot] - 1, id);
            _slots[slot] = id + 1;
        }
        return null;
    }

    /// <summary>The id of a byte string, or −1.</summary>
    public int Find(ReadOnlySpan<byte> bytes) => _slots[Slot(bytes)] - 1;

    // The slot that holds these bytes, or the empty one where they belong.
    private int Slot(ReadOnlySpan<byte> bytes)
    {
        int mask = _slots.Length - 1;
        for (int slot = (int)SpanHash.Compute(bytes) & mask; ; slot = (slot + 1) & mask)
        {
            int id = _slots[slot] - 1;
            if (id < 0 || this[id].SequenceEqual(bytes))
                return slot;
        }
    }
}
