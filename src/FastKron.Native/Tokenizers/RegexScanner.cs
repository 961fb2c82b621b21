using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace FastKron.Native.Tokenizers;

/// <summary>Cuts text by a pattern that no hand-written scanner knows; matches and what lies between them are pieces.</summary>
/// <remarks>
/// Tokenizer patterns are written for the Oniguruma library and see code points; .NET's Regex sees UTF-16 units. So each code point beyond U+FFFF is shown
/// to it as one unit of the same general category, and only pattern parts that mean the same in both libraries are accepted. One difference stays: with
/// (?i: ) Oniguruma also takes the long s (U+017F) for an s.
/// </remarks>
internal sealed class RegexScanner : IPieceScanner
{
    /// <summary>What a pattern may consist of, for messages.</summary>
    public const string Supported =
        @"ASCII literals, ., [ ] without nested sets, \p{category}, \s, \d, \r, \n, \t, |, ( ), (?: ), (?i: ), (?= ), (?! ), ?, *, +, {n,m}";

    private static readonly char[] Representatives = BuildRepresentatives();      // (30) a unit of each general category
    private readonly Regex _regex;

    /// <summary>Takes a pattern in which <see cref="FindUnsupported"/> finds nothing.</summary>
    public RegexScanner(string pattern) => _regex = new Regex(pattern, RegexOptions.CultureInvariant);

    /// <inheritdoc/>
    public void Split(ReadOnlySpan<char> text, List<int> ends)
    {
        if (text.IndexOfAnyInRange('\uD800', '\uDFFF') < 0)
        {
            SplitUnits(text, ends);
            return;
        }

        char[] rented = ArrayPool<char>.Shared.Rent(text.Length);
        int first = ends.Count, count = 0;
        foreach (Rune rune in text.EnumerateRunes())
            rented[count++] = rune.IsBmp ? (char)rune.Value : Representatives[(int)Rune.GetUnicodeCategory(rune)];
        SplitUnits(rented.AsSpan(0, count), ends);
        ArrayPool<char>.Shared.Return(rented);

        // From code points to UTF-16 units.
        for (int i = first, point = 0, unit = 0; i < ends.Count; i++)
        {
            for (; point < ends[i]; point++)
            {
                Rune.DecodeFromUtf16(text[unit..], out _, out int width);
                unit += width;
            }
            ends[i] = unit;
        }
    }

    private void SplitUnits(ReadOnlySpan<char> text, List<int> ends)
    {
        int position = 0;
        foreach (ValueMatch match in _regex.EnumerateMatches(text))
        {
            if (match.Length == 0)
                continue;
            if (match.Index > position)
                ends.Add(match.Index);
            position = match.Index + match.Length;
            ends.Add(position);
        }
        if (position < text.Length)
            ends.Add(text.Length);
    }

    /// <summary>The first part of a pattern that is unknown or means something else in Oniguruma, or null.</summary>
    /// <remarks>There ^ and $ are line ends, &amp;&amp; intersects sets, and {,n} counts.</remarks>
    public static string? FindUnsupported(string pattern)
    {
        if (FindUnsupportedPart(pattern) is { } part)
            return part;
        try
        {
            _ = new Regex(pattern, RegexOptions.CultureInvariant);
            return null;
        }
        catch (RegexParseException error)
        {
            return pattern[error.Offset..];
        }
    }

    private static string? FindUnsupportedPart(string pattern)
    {
        bool set = false;
        for (int i = 0; i < pattern.Length; i++)
        {
            ReadOnlySpan<char> rest = pattern.AsSpan(i);
            char c = pattern[i], next = rest.Length > 1 ? rest[1] : '\0';
            if (!char.IsAscii(c))
                return c.ToString();
            if (c == '\\')
            {
                int length = EscapeLength(rest);
                if (length == 0)
                    return rest[..Math.Min(2, rest.Length)].ToString();
                i += length - 1;
            }
            else if (set)
            {
                if (c == '[' || (c == '&' && next == '&'))
                    return rest[..Math.Min(2, rest.Length)].ToString();
                set = c != ']';
            }
            else if (c == '[')
            {
                set = true;
            }
            else if (c is '^' or '$' || (c == '{' && next == ','))
            {
                return c.ToString();
            }
            else if (c == '(' && next == '?' && !(rest.StartsWith("(?:") || rest.StartsWith("(?i:") || rest.StartsWith("(?=") || rest.StartsWith("(?!")))
            {
                return rest[..Math.Min(3, rest.Length)].ToString();
            }
        }
        return null;
    }

    private static int EscapeLength(ReadOnlySpan<char> escape)
    {
        if (escape.Length < 2)
            return 0;
        if (escape[1] is 'p' or 'P')
        {
            int close = escape.IndexOf('}');
            return close is 4 or 5 && escape[2] == '{' && "LMNPSZC".Contains(escape[3], StringComparison.Ordinal) ? close + 1 : 0;
        }
        return escape[1] is 's' or 'S' or 'd' or 'D' or 'r' or 'n' or 't' || char.IsAsciiLetterOrDigit(escape[1]) is false ? 2 : 0;
    }

    private static char[] BuildRepresentatives()
    {
        char[] representatives = new char[(int)UnicodeCategory.OtherNotAssigned + 1];
        for (int c = 0; c <= char.MaxValue; c++)
            representatives[(int)char.GetUnicodeCategory((char)c)] = (char)c;
        return representatives;
    }
}
