namespace FastKron.Native.Tokenizers;

/// <summary>The pattern of Llama-3 and, with single digits, of Qwen-2 and Qwen-3, written out.</summary>
/// <remarks>Linear in the text: no character is read more than four times.</remarks>
/// <param name="digits">Longest run of numbers in one piece, in code points.</param>
internal sealed class Cl100kScanner(int digits) : IPieceScanner
{
    /// <summary>Llama-3's pattern: numbers in groups of up to three.</summary>
    public const string ThreeDigits =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>Qwen's pattern: every number on its own.</summary>
    public const string OneDigit =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <inheritdoc/>
    public void Split(ReadOnlySpan<char> text, List<int> ends)
    {
        for (int position = 0; position < text.Length;)
        {
            position = Next(text, position);
            ends.Add(position);
        }
    }

    private int Next(ReadOnlySpan<char> text, int start)
    {
        CharacterKind kind = CharacterKinds.At(text, start, out int width);
        int next = start + width;
        if (kind == CharacterKind.Letter)
            return CharacterKinds.Skip(text, next, CharacterKind.Letter);
        if (kind == CharacterKind.Number)
        {
            for (int count = 1; count < digits && next < text.Length && CharacterKinds.At(text, next, out width) == CharacterKind.Number; count++)
                next += width;
            return next;
        }

        int contraction = Contractions.Length(text, start, ignoreCase: true);
        if (contraction > 0)
            return start + contraction;
        CharacterKind following = next < text.Length ? CharacterKinds.At(text, next, out _) : CharacterKind.Newline;
        if (kind != CharacterKind.Newline && following == CharacterKind.Letter)
            return CharacterKinds.Skip(text, next, CharacterKind.Letter);

        if (kind == CharacterKind.Other || (text[start] == ' ' && following == CharacterKind.Other))
        {
            int end = CharacterKinds.Skip(text, next, CharacterKind.Other);
            return CharacterKinds.Skip(text, end, CharacterKind.Newline);
        }

        int blankEnd = CharacterKinds.SkipWhiteSpace(text, next);
        int newline = text[start..blankEnd].LastIndexOfAny('\r', '\n');
        return newline >= 0 ? start + newline + 1 : BlankEnd(start, blankEnd, text.Length);
    }

    /// <summary>Where \s+(?!\S)|\s+ ends on white space without line break: a run leaves its last character to what follows, if it has another.</summary>
    internal static int BlankEnd(int start, int runEnd, int textLength) =>
        runEnd == textLength || runEnd - start == 1 ? runEnd : runEnd - 1;
}
