using System.Globalization;
using System.Text;

namespace FastKron.Native.Tokenizers;

/// <summary>What the patterns of byte-level tokenizers tell apart.</summary>
internal enum CharacterKind : byte
{
    /// <summary>[^\s\p{L}\p{N}].</summary>
    Other,

    /// <summary>\p{L}.</summary>
    Letter,

    /// <summary>\p{N}.</summary>
    Number,

    /// <summary>\s without \r and \n.</summary>
    Space,

    /// <summary>\r and \n.</summary>
    Newline,

    /// <summary>Half of a surrogate pair: only in the table, resolved by <see cref="CharacterKinds.At"/>.</summary>
    Surrogate,
}

/// <summary>Looks up kinds by Unicode code point, not by UTF-16 unit.</summary>
internal static class CharacterKinds
{
    private static readonly CharacterKind[] Table = BuildTable();      // (65536) one a UTF-16 unit

    /// <summary>Kind of the code point at a position, and its length in UTF-16 units. A lone surrogate is U+FFFD, so <see cref="CharacterKind.Other"/>.</summary>
    public static CharacterKind At(ReadOnlySpan<char> text, int position, out int width)
    {
        width = 1;
        CharacterKind kind = Table[text[position]];
        if (kind != CharacterKind.Surrogate)
            return kind;
        Rune.DecodeFromUtf16(text[position..], out Rune rune, out width);
        return Of(Rune.GetUnicodeCategory(rune));
    }

    /// <summary>The first position from <paramref name="position"/> on whose code point is of another kind, or the text's length.</summary>
    public static int Skip(ReadOnlySpan<char> text, int position, CharacterKind kind)
    {
        CharacterKind[] table = Table;
        while ((uint)position < (uint)text.Length)
        {
            CharacterKind found = table[text[position]];
            if (found == kind)
                position++;
            else if (found == CharacterKind.Surrogate && At(text, position, out int width) == kind)
                position += width;
            else
                break;
        }
        return position;
    }

    /// <summary>The first position from <paramref name="position"/> on that is not white space, or the text's length.</summary>
    public static int SkipWhiteSpace(ReadOnlySpan<char> text, int position)
    {
        while ((uint)position < (uint)text.Length && Table[text[position]] is CharacterKind.Space or CharacterKind.Newline)
            position++;
        return position;
    }

    private static CharacterKind[] BuildTable()
    {
        CharacterKind[] table = new CharacterKind[char.MaxValue + 1];
        for (int i = 0; i < table.Length; i++)
        {
            char c = (char)i;
            table[i] = c is '\r' or '\n' ? CharacterKind.Newline
                : char.IsSurrogate(c) ? CharacterKind.Surrogate
                : char.IsWhiteSpace(c) ? CharacterKind.Space
                : Of(char.GetUnicodeCategory(c));
        }
        return table;
    }

    // White space lies in the basic plane, so a category decides everywhere else.
    private static CharacterKind Of(UnicodeCategory category) => category switch
    {
        <= UnicodeCategory.OtherLetter => CharacterKind.Letter,
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => CharacterKind.Number,
        _ => CharacterKind.Other,
    };
}
