namespace FastKron.Native.Tokenizers;

/// <summary>Cuts text into the pieces within which tokens are merged. Immutable and safe for use by many threads.</summary>
internal interface IPieceScanner
{
    /// <summary>
    /// Appends where each piece ends, in UTF-16 units from the start of <paramref name="text"/>. The pieces cover the text: the last end is its length.
    /// </summary>
    void Split(ReadOnlySpan<char> text, List<int> ends);
}
