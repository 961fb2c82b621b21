namespace FastKron.Native.Tokenizers;

/// <summary>GPT-2's pattern, which <c>ByteLevel</c> has built in, written out.</summary>
/// <remarks>Linear in the text.</remarks>
internal sealed class Gpt2Scanner : IPieceScanner
{
    /// <summary>The pattern.</summary>
    public const string Pattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <inheritdoc/>
    public void Split(ReadOnlySpan<char> text, List<int> ends)
    {
        for (int position = 0; position < text.Length;)
        {
            position = Next(text, position);
            ends.Add(position);
        }
    }

    private static int Next(ReadOnlySpan<char> text, int start)
    {
        int contraction = Contractions.Length(text, start, ignoreCase: false);
        if (contraction > 0)
            return start + contraction;
        int first = text[start] == ' ' && start + 1 < text.Length ? start + 1 : start;
        CharacterKind kind = CharacterKinds.At(text, first, out int width);
        if (kind is not (CharacterKind.Space or CharacterKind.Newline))
            return CharacterKinds.Skip(text, first + width, kind);
        return Cl100kScanner.BlankEnd(start, CharacterKinds.SkipWhiteSpace(text, start), text.Length);
    }
}
