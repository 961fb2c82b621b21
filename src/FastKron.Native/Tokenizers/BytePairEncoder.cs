using System.Runtime.InteropServices;
using System.Text.Unicode;

namespace FastKron.Native.Tokenizers;

/// <summary>Turns text without added tokens into ids: cuts it into pieces and merges within each. Holds scratch memory, so one call at a time.</summary>
/// <remarks>
/// Merging: Sennrich, Haddow, Birch, arXiv:1508.07909, section 3.2, on bytes or characters; the earliest rule first, of equal ones the leftmost.
/// </remarks>
internal sealed class BytePairEncoder
{
    private const int LongPiece = 64;                        // symbols; above, a heap finds the next merge

    private readonly TokenTable _tokens;
    private readonly MergeTable _merges;
    private readonly bool _ignoreMerges;
    private readonly PreTokenizerStage[] _stages;
    private readonly List<int>[] _ends;                      // (stages)
    private readonly int[] _byteIds;                         // (256); −1: no token
    private readonly bool _characters;                       // whether merging starts from characters
    private readonly PieceCache _cache = new();
    private byte[] _utf8 = new byte[3 * LongPiece];
    private int[] _symbols = new int[LongPiece];
    private readonly long[] _rules = new long[LongPiece];    // rule of symbol i and its right neighbour
    private readonly bool[] _dropped = new bool[256];        // bytes without token met since TakeDropped

    /// <summary>Makes the scratch memory.</summary>
    public BytePairEncoder(TokenizerDefinition definition)
    {
        (_tokens, _merges, _ignoreMerges, _stages) = (definition.Tokens, definition.Merges, definition.IgnoreMerges, definition.Stages);
        (_byteIds, _characters) = (definition.ByteIds, definition.Spelling == TokenSpelling.SpaceMark);
        _ends = [.. _stages.Select(_ => new List<int>())];
    }

    /// <summary>Bytes left out so far because no token stands for them.</summary>
    public long DroppedCount { get; private set; }

    /// <summary>Where a call collects its ids.</summary>
    public List<int> Ids { get; } = [];

    /// <summary>The bytes of <see cref="DroppedCount"/> in hexadecimal.</summary>
    public string DroppedBytes() => string.Join(' ', Enumerable.Range(0, 256).Where(value => _dropped[value]).Select(value => value.ToString("X2")));

    /// <summary>Appends the ids of a text to <see cref="Ids"/>.</summary>
    public void Append(ReadOnlySpan<char> text) => Append(text, 0);

    private void Append(ReadOnlySpan<char> text, int stage)
    {
        if (text.IsEmpty)
            return;
        if (stage == _stages.Length)
        {
            AppendPiece(text);
            return;
        }
        if (_stages[stage].PrefixSpace && text[0] != ' ')
            text = string.Concat(" ", text);
        if (_stages[stage].Scanner is not { } scanner)
        {
            Append(text, stage + 1);
            return;
        }
        List<int> ends = _ends[stage];
        ends.Clear();
        scanner.Split(text, ends);
        int start = 0;
        foreach (int end in ends)
        {
            Append(text[start..end], stage + 1);
            start = end;
        }
    }

    private void AppendPiece(ReadOnlySpan<char> piece)
    {
        if (piece.Length > PieceCache.MaximumLength)
        {
            Merge(piece);
            return;
        }
        ulong hash = PieceCache.Hash(piece);
        if (_cache.TryAppend(piece, hash, Ids))
            return;
        int before = Ids.Count;
        long dropped = DroppedCount;
        Merge(piece);
        if (DroppedCount == dropped)                         // a piece that loses bytes is counted each time
            _cache.Add(piece, hash, CollectionsMarshal.AsSpan(Ids)[before..]);
    }

    private void Merge(ReadOnlySpan<char> piece)
    {
        if (_utf8.Length < 3 * piece.Length)
            _utf8 = new byte[3 * piece.Length];
        Utf8.FromUtf16(piece, _utf8, out _, out int length);            // replaces lone surrogates by U+FFFD
        ReadOnlySpan<byte> bytes = _utf8.AsSpan(0, length);
        if (_ignoreMerges && _tokens.Find(bytes) is >= 0 and int whole)
        {
            Ids.Add(whole);
            return;
        }

        if (_symbols.Length < length)
            _symbols = new int[length];
        int count = 0;
        for (int i = 0; i < length;)
        {
            int size = _characters ? CharacterLength(bytes[i]) : 1;
            if (size > 1 && _tokens.Find(bytes.Slice(i, size)) is >= 0 and int character)
                _symbols[count++] = character;
            else
                count = AddBytes(bytes.Slice(i, size), count);
            i += size;
        }
        Span<int> symbols = _symbols.AsSpan(0, count);
        if (count <= LongPiece)
            MergeShort(symbols);
        else
            MergeLong(symbols);
    }

    // Appends the symbol of each byte, and counts the bytes that have none.
    private int AddBytes(ReadOnlySpan<byte> bytes, int count)
    {
        foreach (byte value in bytes)
        {
            if (_byteIds[value] >= 0)
            {
                _symbols[count++] = _byteIds[value];
                continue;
            }
            _dropped[value] = true;
            DroppedCount++;
        }
        return count;
    }

    // Bytes of the UTF-8 character that begins with this one.
    private static int CharacterLength(byte first) => first switch { < 0x80 => 1, < 0xE0 => 2, < 0xF0 => 3, _ => 4 };

    // O(n²) on at most LongPiece symbols, all in the first-level cache.
    private void MergeShort(Span<int> symbols)
    {
        int count = symbols.Length;
        Span<long> rules = _rules;
        for (int i = 0; i + 1 < count; i++)
            rules[i] = _merges.Find(symbols[i], symbols[i + 1]);
        while (count > 1)
        {
            int best = 0;
            for (int i = 1; i < count - 1; i++)
            {
                if (rules[i] < rules[best])
                    best = i;
            }
            if (rules[best] == MergeTable.None)
                break;
            symbols[best] = (int)rules[best];
            symbols[(best + 2)..count].CopyTo(symbols[(best + 1)..]);
            rules[Math.Min(best + 2, count - 1)..(count - 1)].CopyTo(rules[(best + 1)..]);
            count--;
            if (best > 0)
                rules[best - 1] = _merges.Find(symbols[best - 1], symbols[best]);
            if (best + 1 < count)
                rules[best] = _merges.Find(symbols[best], symbols[best + 1]);
        }
        Ids.AddRange(symbols[..count]);
    }

    // O(n log n): a linked list of symbols, and a heap of the merges that were possible when they entered it.
    private void MergeLong(Span<int> symbols)
    {
        int count = symbols.Length;
        int[] next = new int[count], previous = new int[count];         // neighbours still alive; next = count at the end, −1 for a merged symbol
        PriorityQueue<int, long> queue = new(count);
        for (int i = 0; i < count; i++)
        {
            (next[i], previous[i]) = (i + 1, i - 1);
            Enqueue(symbols, i, i + 1, queue);
        }
        while (queue.TryDequeue(out int left, out long priority))
        {
            int right = next[left];
            long rule = right >= 0 && right < count ? _merges.Find(symbols[left], symbols[right]) : MergeTable.None;
            if (rule >> 32 != priority >> 32)
                continue;                                    // one of the two was merged meanwhile
            symbols[left] = (int)rule;
            next[left] = next[right];
            next[right] = -1;
            if (next[left] < count)
                previous[next[left]] = left;
            if (previous[left] >= 0)
                Enqueue(symbols, previous[left], left, queue);
            Enqueue(symbols, left, next[left], queue);
        }
        for (int i = 0; i < count; i = next[i])
            Ids.Add(symbols[i]);
    }

    private void Enqueue(ReadOnlySpan<int> symbols, int left, int right, PriorityQueue<int, long> queue)
    {
        if (right < symbols.Length && _merges.Find(symbols[left], symbols[right]) is not MergeTable.None and long rule)
            queue.Enqueue(left, (rule & ~(long)uint.MaxValue) | (uint)left);      // rank, then position
    }
}
