using System.Text;

namespace FastKron.Native.Tokenizers;

/// <summary>How a tokenizer.json spells the bytes of its tokens, and what the symbols are that merging starts from.</summary>
internal enum TokenSpelling
{
    /// <summary>Each byte is a character of <see cref="ByteAlphabet"/>; merging starts from bytes.</summary>
    ByteAlphabet,

    /// <summary>
    /// Text with ▁ for a space, as SentencePiece writes it; merging starts from characters, and a character without token becomes one token
    /// <c>&lt;0x41&gt;</c> for each of its UTF-8 bytes (byte fallback). Source: Kudo, Richardson, arXiv:1808.06226, section 3.
    /// </summary>
    SpaceMark,
}

/// <summary>From spelling to bytes.</summary>
internal static class TokenSpellings
{
    /// <summary>What stands for a space, U+2581.</summary>
    public const char SpaceMark = '\u2581';

    /// <summary>Writes the bytes that a token stands for.</summary>
    /// <param name="spelling">How it is spelled.</param>
    /// <param name="token">As written in the file.</param>
    /// <param name="destination">At least three bytes for each character.</param>
    /// <param name="length">Bytes written.</param>
    /// <returns>
    /// False, with the UTF-8 bytes of <paramref name="token"/>, where text cannot become this token: another alphabet, or a space that is not marked.
    /// </returns>
    public static bool TryGetBytes(this TokenSpelling spelling, ReadOnlySpan<char> token, Span<byte> destination, out int length)
    {
        length = token.Length;
        if (spelling == TokenSpelling.ByteAlphabet && ByteAlphabet.TryGetBytes(token, destination))
            return true;
        length = Encoding.UTF8.GetBytes(token, destination);
        if (spelling == TokenSpelling.ByteAlphabet || token.Contains(' '))
            return false;
        length = MarksToSpaces(destination[..length]);
        return true;
    }

    /// <summary>The byte that a token of byte fallback stands for: 0x41 of <c>&lt;0x41&gt;</c>.</summary>
    public static bool TryGetFallbackByte(ReadOnlySpan<byte> token, out byte value)
    {
        value = 0;
        return token.Length == 6 && token.StartsWith("<0x"u8) && token[5] == (byte)'>' && IsUpperHex(token[3]) && IsUpperHex(token[4])
            && byte.TryParse(token[3..5], System.Globalization.NumberStyles.AllowHexSpecifier, null, out value);
    }

    private static bool IsUpperHex(byte digit) => digit is (>= (byte)'0' and <= (byte)'9') or (>= (byte)'A' and <= (byte)'F');

    private static int MarksToSpaces(Span<byte> utf8)
    {
        ReadOnlySpan<byte> mark = "\u2581"u8;
        int written = 0;
        for (int read = 0; read < utf8.Length;)
        {
            bool marked = utf8[read..].StartsWith(mark);
            utf8[written++] = marked ? (byte)' ' : utf8[read];
            read += marked ? mark.Length : 1;
        }
        return written;
    }
}
