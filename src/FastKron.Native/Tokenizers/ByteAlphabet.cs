namespace FastKron.Native.Tokenizers;

/// <summary>The printable spelling of bytes in byte-level vocabularies: each of the 256 bytes is one character, none a blank or a control code.</summary>
/// <remarks>
/// The 188 bytes ! to ~, ¡ to ¬ and ® to ÿ stand for themselves as Latin-1 characters; the other 68, in ascending order, are U+0100, U+0101, …
/// (a space is Ġ, a line feed Ċ). Source: Radford et al., "Language models are unsupervised multitask learners" (GPT-2), 2019, section 2.2.
/// </remarks>
internal static class ByteAlphabet
{
    private const int Characters = 0x144;                    // one past the last character of the alphabet, U+0143
    private static readonly short[] Bytes = BuildBytes();    // character → byte, −1 for no character of the alphabet

    /// <summary>Spells a token's characters back as bytes.</summary>
    /// <returns>False, with <paramref name="destination"/> partly written, if a character is not of the alphabet.</returns>
    public static bool TryGetBytes(ReadOnlySpan<char> token, Span<byte> destination)
    {
        for (int i = 0; i < token.Length; i++)
        {
            if (token[i] >= Characters || Bytes[token[i]] < 0)
                return false;
            destination[i] = (byte)Bytes[token[i]];
        }
        return true;
    }

    private static short[] BuildBytes()
    {
        short[] bytes = new short[Characters];
        Array.Fill(bytes, (short)-1);
        int next = 0x100;
        for (int value = 0; value < 256; value++)
        {
            bool printable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            bytes[printable ? value : next++] = (short)value;
        }
        return bytes;
    }
}
