namespace FastKron.Native.Tokenizers;

/// <summary>Cuts before each space that follows another character.</summary>
/// <remarks>
/// Not a step of a tokenizer.json: SentencePiece-style BPE merges across the whole text. But where no token has a space behind another character
/// (<see cref="Fits"/>), nothing can merge across such a place, so that pieces merged on their own give the same ids, and the cache of pieces serves.
/// </remarks>
internal sealed class SpaceRunScanner : IPieceScanner
{
    /// <summary>Whether a vocabulary allows the cut.</summary>
    public static bool Fits(TokenTable tokens)
    {
        for (int id = 0; id < tokens.Size; id++)
        {
            if (tokens.Contains(id) && tokens[id].TrimStart((byte)' ').Contains((byte)' '))
                return false;
        }
        return true;
    }

    /// <inheritdoc/>
    public void Split(ReadOnlySpan<char> text, List<int> ends)
    {
        for (int start = 0; start < text.Length;)
        {
            int word = start;
            while (word < text.Length && text[word] == ' ')
                word++;
            int length = text[word..].IndexOf(' ');
            start = length < 0 ? text.Length : word + length;
            ends.Add(start);
        }
    }
}
