using System.Runtime.InteropServices;
using System.Text;

namespace FastKron.Native.Tokenizers;

/// <summary>Byte-pair encoding as a Hugging Face tokenizer.json describes it: text to token ids and back.</summary>
/// <remarks>
/// Gives the ids that the Hugging Face tokenizers library gives, for the parts it supports. Byte-level BPE (LLaMA-3, Qwen-3): normalizer NFC;
/// pre-tokenizers Split (Isolated), ByteLevel, Digits, Sequence; decoder ByteLevel. SentencePiece-style BPE (LLaMA-2): byte_fallback; normalizer Prepend
/// and Replace of ▁; no pre-tokenizer; decoder Replace, ByteFallback, Fuse, Strip. Post-processors TemplateProcessing, ByteLevel, Sequence.
/// Safe for use by many threads.
/// </remarks>
public sealed class Tokenizer
{
    private readonly TokenizerDefinition _definition;
    private readonly Action<string>? _warn;
    private BytePairEncoder? _idle;                          // scratch memory of the last call that ended
    private long _droppedBytes;

    internal Tokenizer(TokenizerDefinition definition, int? bosId, int? eosId, Action<string>? warn)
    {
        (_definition, _warn, BosId, EosId) = (definition, warn, bosId, eosId);
        VocabularySize = Math.Max(definition.Tokens.Size, definition.Added.Size);
    }

    /// <summary>Reads a tokenizer.</summary>
    /// <param name="path">A folder with tokenizer.json or tokenizer.json.gz, and tokenizer_config.json where there is one; or such a file itself.</param>
    /// <param name="warn">Is told at most once, when text has a byte that no token stands for; see <see cref="DroppedBytes"/>.</param>
    /// <exception cref="InvalidDataException">Missing or malformed: file, found, expected.</exception>
    /// <exception cref="NotSupportedException">Another kind, such as Unigram or WordPiece: file, part, what is supported.</exception>
    public static Tokenizer Load(string path, Action<string>? warn = null) => TokenizerReader.Read(path, warn);

    /// <summary>The tokenizer.json it was read from.</summary>
    public string Path => _definition.Path;

    /// <summary>One past the largest id that has a token; a model's logits may have more, unused, columns.</summary>
    public int VocabularySize { get; }

    /// <summary>
    /// The token that tokenizer_config.json names as beginning of a text, or null. Whether <see cref="Encode(ReadOnlySpan{char}, bool)"/> adds it is said by
    /// tokenizer.json alone.
    /// </summary>
    public int? BosId { get; }

    /// <summary>The token that tokenizer_config.json names as end of a text, or null.</summary>
    public int? EosId { get; }

    /// <summary>Bytes of all texts so far that no token stands for and that were left out; 0 for every tokenizer with all 256 bytes.</summary>
    public long DroppedBytes => Interlocked.Read(ref _droppedBytes);

    /// <summary>Ids of a text.</summary>
    /// <param name="text">UTF-16; a lone surrogate counts as U+FFFD. Text of added tokens, such as &lt;|im_end|&gt;, becomes their ids.</param>
    /// <param name="addSpecialTokens">Adds what the post-processor adds around a text, such as one BOS in front.</param>
    public int[] Encode(ReadOnlySpan<char> text, bool addSpecialTokens = true)
    {
        BytePairEncoder encoder = Rent();
        Encode(text, addSpecialTokens, encoder);
        int[] ids = [.. encoder.Ids];
        Return(encoder);
        return ids;
    }

    /// <summary>Appends the ids of a text to a list.</summary>
    /// <inheritdoc cref="Encode(ReadOnlySpan{char}, bool)"/>
    public void Encode(ReadOnlySpan<char> text, bool addSpecialTokens, List<int> destination)
    {
        BytePairEncoder encoder = Rent();
        Encode(text, addSpecialTokens, encoder);
        destination.AddRange(encoder.Ids);
        Return(encoder);
    }

    /// <summary>Text of ids. Bytes that are no UTF-8 become U+FFFD. The space that LLaMA-2's tokenizer puts in front of a text is taken away.</summary>
    /// <param name="ids">Token ids.</param>
    /// <param name="skipSpecialTokens">Leaves out control tokens such as BOS.</param>
    /// <exception cref="ArgumentOutOfRangeException">The vocabulary has no such id.</exception>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false)
    {
        List<byte> bytes = new(4 * ids.Length);
        foreach (int id in ids)
        {
            ReadOnlySpan<byte> token = TokenBytes(id);
            if (!skipSpecialTokens || !IsSpecial(id))
                bytes.AddRange(token);
        }
        ReadOnlySpan<byte> text = CollectionsMarshal.AsSpan(bytes);
        return Encoding.UTF8.GetString(HasSpacePrefix && text.StartsWith(" "u8) ? text[1..] : text);
    }

    /// <summary>A decoder for ids that arrive one by one.</summary>
    /// <param name="skipSpecialTokens">Leaves out control tokens such as BOS.</param>
    /// <param name="continuation">The ids follow a text: a space in front of them is kept, whatever <see cref="Decode"/> takes away from a whole text.</param>
    public TokenStreamDecoder CreateStreamDecoder(bool skipSpecialTokens = true, bool continuation = false) =>
        new(this, skipSpecialTokens, stripSpace: HasSpacePrefix && !continuation);

    /// <summary>Bytes of a token; the UTF-8 text of an added one.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The vocabulary has no such id.</exception>
    public ReadOnlySpan<byte> TokenBytes(int id)
    {
        if (_definition.Added.TryGet(id, out _, out byte[] utf8))
            return utf8;
        if (!_definition.Tokens.Contains(id))
            throw new ArgumentOutOfRangeException(nameof(id), id, $"{Path} has no token of this id; its ids end at {VocabularySize - 1}");
        return _definition.Tokens[id];
    }

    /// <summary>Whether an id is a control token, such as BOS.</summary>
    public bool IsSpecial(int id) => _definition.Added.TryGet(id, out AddedToken token, out _) && token.Special;

    /// <summary>The id of a token as the files spell it, such as <c>&lt;|eot_id|&gt;</c>, or null.</summary>
    public int? Find(string content) => _definition.Find(content);

    private bool HasSpacePrefix => _definition.Normalization == TextNormalization.SpacePrefix;

    private void Encode(ReadOnlySpan<char> text, bool addSpecialTokens, BytePairEncoder encoder)
    {
        long dropped = encoder.DroppedCount;
        if (addSpecialTokens)
            encoder.Ids.AddRange(_definition.Prefix);
        int position = 0;
        while (_definition.Added.Raw.TryFind(text, position, out AddedToken token, out int start, out int end))
        {
            EncodeBetween(text[position..start], encoder);
            encoder.Ids.Add(token.Id);
            position = end;
        }
        EncodeBetween(text[position..], encoder);
        if (addSpecialTokens)
            encoder.Ids.AddRange(_definition.Suffix);
        if (encoder.DroppedCount > dropped)
            ReportDropped(encoder, encoder.DroppedCount - dropped);
    }

    private void EncodeBetween(ReadOnlySpan<char> text, BytePairEncoder encoder)
    {
        text = _definition.Normalization.Apply(text);
        int position = 0;
        while (_definition.Added.Normalized.TryFind(text, position, out AddedToken token, out int start, out int end))
        {
            encoder.Append(text[position..start]);
            encoder.Ids.Add(token.Id);
            position = end;
        }
        encoder.Append(text[position..]);
    }

    private void ReportDropped(BytePairEncoder encoder, long count)
    {
        if (Interlocked.Add(ref _droppedBytes, count) != count)
            return;
        _warn?.Invoke($"{Path}: the vocabulary has no token for the bytes {encoder.DroppedBytes()} (hexadecimal) of this text; "
            + "they are left out, as the Hugging Face library does");
    }

    private BytePairEncoder Rent()
    {
        BytePairEncoder encoder = Interlocked.Exchange(ref _idle, null) ?? new BytePairEncoder(_definition);
        encoder.Ids.Clear();
        return encoder;
    }

    private void Return(BytePairEncoder encoder) => Volatile.Write(ref _idle, encoder);
}
