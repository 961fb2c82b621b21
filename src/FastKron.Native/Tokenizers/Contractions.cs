namespace FastKron.Native.Tokenizers;

/// <summary>The English endings that both known patterns keep as pieces: 's 't 're 've 'm 'll 'd.</summary>
internal static class Contractions
{
    /// <summary>Length of the ending at a position in UTF-16 units with its apostrophe, or 0.</summary>
    public static int Length(ReadOnlySpan<char> text, int position, bool ignoreCase)
    {
        if (text[position] != '\'' || position + 1 >= text.Length)
            return 0;
        char first = Fold(text[position + 1], ignoreCase);
        if (first is 's' or 't' or 'm' or 'd')
            return 2;
        char second = position + 2 < text.Length ? Fold(text[position + 2], ignoreCase) : '\0';
        return (first, second) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? 3 : 0;
    }

    // Unicode folds one more character to one of these letters: the long s, U+017F.
    private static char Fold(char c, bool ignoreCase) =>
        !ignoreCase ? c : c is >= 'A' and <= 'Z' ? (char)(c | 0x20) : c == '\u017F' ? 's' : c;
}
