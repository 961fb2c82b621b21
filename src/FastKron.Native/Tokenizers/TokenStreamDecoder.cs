using System.Text;

namespace FastKron.Native.Tokenizers;

/// <summary>Turns ids into text one by one, holding back the bytes of a character until it is complete.</summary>
/// <remarks>All texts together are <see cref="Tokenizer.Decode"/> of all ids. One stream at a time; not safe for use by many threads.</remarks>
public sealed class TokenStreamDecoder
{
    private readonly Tokenizer _tokenizer;
    private readonly bool _skipSpecialTokens, _stripSpace;
    private bool _atStart = true;
    private readonly Decoder _decoder = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false).GetDecoder();

    internal TokenStreamDecoder(Tokenizer tokenizer, bool skipSpecialTokens, bool stripSpace)
        => (_tokenizer, _skipSpecialTokens, _stripSpace) = (tokenizer, skipSpecialTokens, stripSpace);

    /// <summary>The text that <paramref name="id"/> completes; empty where it ends inside a character.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The vocabulary has no such id.</exception>
    public string Append(int id)
    {
        ReadOnlySpan<byte> bytes = _tokenizer.TokenBytes(id);
        if (bytes.IsEmpty || (_skipSpecialTokens && _tokenizer.IsSpecial(id)))
            return "";
        if (_atStart && _stripSpace && bytes[0] == (byte)' ')
            bytes = bytes[1..];
        _atStart = false;
        return Decode(bytes, flush: false);
    }

    /// <summary>Ends the stream: U+FFFD for a character left incomplete, else empty. The decoder can then be used again.</summary>
    public string Flush()
    {
        _atStart = true;
        return Decode([], flush: true);
    }

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        char[] characters = new char[_decoder.GetCharCount(bytes, flush)];
        return new string(characters, 0, _decoder.GetChars(bytes, characters, flush));
    }
}
