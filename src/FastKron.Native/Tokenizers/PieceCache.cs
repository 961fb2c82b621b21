using System.Runtime.InteropServices;

namespace FastKron.Native.Tokenizers;

/// <summary>Ids of pieces seen before; natural text repeats most of them. Forgets everything when full.</summary>
internal sealed class PieceCache
{
    /// <summary>Longest piece kept, in UTF-16 units.</summary>
    public const int MaximumLength = 48;

    private const int Slots = 1 << 16, MaximumCount = Slots / 2, MaximumIds = 4 * MaximumCount;

    private readonly Entry[] _entries = new Entry[Slots];    // open addressing
    private readonly char[] _keys = new char[8 * MaximumCount];
    private readonly int[] _ids = new int[MaximumIds];
    private int _count, _usedKeys, _usedIds;

    /// <summary>Hash of a piece for the other two methods.</summary>
    public static ulong Hash(ReadOnlySpan<char> piece) => SpanHash.Compute(MemoryMarshal.AsBytes(piece));

    /// <summary>Appends the ids of a known piece.</summary>
    public bool TryAppend(ReadOnlySpan<char> piece, ulong hash, List<int> ids)
    {
        for (int slot = (int)hash & (Slots - 1); ; slot = (slot + 1) & (Slots - 1))
        {
            ref readonly Entry entry = ref _entries[slot];
            if (entry.IdCount == 0)
                return false;
            if (entry.Hash != (uint)(hash >> 32) || !piece.SequenceEqual(_keys.AsSpan(entry.Key, entry.KeyLength)))
                continue;
            if (entry.IdCount == 1)
                ids.Add(entry.FirstId);
            else
                ids.AddRange(_ids.AsSpan(entry.FirstId, entry.IdCount));
            return true;
        }
    }

    /// <summary>Keeps the ids of a piece that <see cref="TryAppend"/> did not find: at most <see cref="MaximumLength"/> long, at least one id.</summary>
    public void Add(ReadOnlySpan<char> piece, ulong hash, ReadOnlySpan<int> ids)
    {
        if (_count == MaximumCount || _usedKeys + piece.Length > _keys.Length || _usedIds + ids.Length > _ids.Length)
        {
            Array.Clear(_entries);
            (_count, _usedKeys, _usedIds) = (0, 0, 0);
        }
        int slot = (int)hash & (Slots - 1);
        while (_entries[slot].IdCount != 0)
            slot = (slot + 1) & (Slots - 1);
        _entries[slot] = new Entry((uint)(hash >> 32), _usedKeys, ids.Length == 1 ? ids[0] : _usedIds, (byte)piece.Length, (byte)ids.Length);
        piece.CopyTo(_keys.AsSpan(_usedKeys));
        _usedKeys += piece.Length;
        _count++;
        if (ids.Length == 1)
            return;
        ids.CopyTo(_ids.AsSpan(_usedIds));
        _usedIds += ids.Length;
    }

    // FirstId: the id itself of a piece with one, else where its ids start.
    private readonly record struct Entry(uint Hash, int Key, int FirstId, byte KeyLength, byte IdCount);
}
