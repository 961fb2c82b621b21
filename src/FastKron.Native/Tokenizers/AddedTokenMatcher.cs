using System.Buffers;
using System.Globalization;
using System.Text;

namespace FastKron.Native.Tokenizers;

/// <summary>Finds added tokens in text: the leftmost one, and of those that start there the longest.</summary>
internal sealed class AddedTokenMatcher
{
    private readonly SearchValues<string> _search;
    private readonly Dictionary<string, AddedToken>.AlternateLookup<ReadOnlySpan<char>> _byContent;
    private readonly int[] _lengths;                         // distinct lengths of the contents, longest first

    /// <summary>Makes the search tables. Of two tokens with one text the later holds.</summary>
    public AddedTokenMatcher(IEnumerable<(string Content, AddedToken Token)> tokens)
    {
        Dictionary<string, AddedToken> byContent = new(StringComparer.Ordinal);
        foreach ((string content, AddedToken token) in tokens)
            byContent[content] = token;
        _byContent = byContent.GetAlternateLookup<ReadOnlySpan<char>>();
        _lengths = [.. byContent.Keys.Select(c => c.Length).Distinct().OrderDescending()];
        _search = SearchValues.Create([.. byContent.Keys], StringComparison.Ordinal);
    }

    /// <summary>Finds the next token.</summary>
    /// <param name="text">All of the text.</param>
    /// <param name="from">Where the text not yet consumed starts, in UTF-16 units.</param>
    /// <param name="token">The token found.</param>
    /// <param name="start">Where it starts, with the white space that it takes.</param>
    /// <param name="end">Where it ends, with the white space that it takes.</param>
    public bool TryFind(ReadOnlySpan<char> text, int from, out AddedToken token, out int start, out int end)
    {
        (token, start, end) = (null!, 0, 0);
        if (_lengths.Length == 0)
            return false;
        for (int search = from; ; search = end)
        {
            int offset = text[search..].IndexOfAny(_search);
            if (offset < 0)
                return false;
            start = search + offset;
            token = Longest(text[start..], out int length);
            end = start + length;
            if (token.SingleWord && (EndsWithWord(text[..start]) || StartsWithWord(text[end..])))
                continue;
            if (token.LeftStrip)
                start = Math.Max(from, text[..start].TrimEnd().Length);
            if (token.RightStrip)
                end = text.Length - text[end..].TrimStart().Length;
            return true;
        }
    }

    private AddedToken Longest(ReadOnlySpan<char> text, out int length)
    {
        foreach (int candidate in _lengths)
        {
            length = candidate;
            if (length <= text.Length && _byContent.TryGetValue(text[..length], out AddedToken? token))
                return token;
        }
        throw new InvalidOperationException("the search tables of the added tokens disagree");
    }

    private static bool EndsWithWord(ReadOnlySpan<char> text) => Rune.DecodeLastFromUtf16(text, out Rune rune, out _) == OperationStatus.Done && IsWord(rune);

    private static bool StartsWithWord(ReadOnlySpan<char> text) => Rune.DecodeFromUtf16(text, out Rune rune, out _) == OperationStatus.Done && IsWord(rune);

    // \w of Unicode technical standard 18, annex C, by general category: letters, marks, decimal numbers, letter numbers, connectors.
    private static bool IsWord(Rune rune) => Rune.GetUnicodeCategory(rune)
        is <= UnicodeCategory.LetterNumber or UnicodeCategory.ConnectorPunctuation;
}
