namespace FastKron.Native.Tokenizers;

/// <summary>Parts numbers (Unicode category N, so ½ and Ⅷ too) from everything else.</summary>
/// <param name="individual">Every number is a piece of its own; otherwise a run of numbers is.</param>
internal sealed class DigitsScanner(bool individual) : IPieceScanner
{
    /// <inheritdoc/>
    public void Split(ReadOnlySpan<char> text, List<int> ends)
    {
        for (int position = 0, width; position < text.Length; ends.Add(position))
        {
            bool number = CharacterKinds.At(text, position, out width) == CharacterKind.Number;
            position += width;
            if (number && individual)
                continue;
            while (position < text.Length && (CharacterKinds.At(text, position, out width) == CharacterKind.Number) == number)
                position += width;
        }
    }
}
