using System.Text.Json;
using FastKron.Native.Formats;

namespace FastKron.Native.Tokenizers;

/// <summary>Reads the <c>model</c> of a tokenizer.json: vocabulary, merge rules, options.</summary>
internal sealed class BpeModelReader
{
    /// <summary>Largest token id accepted, so that a malformed file cannot ask for gigabytes.</summary>
    public const int MaximumId = (1 << 24) - 1;

    /// <summary>What this folder supports, for messages.</summary>
    public const string Supported = "byte-level BPE (Llama-3, Qwen-2, Qwen-3, SmolLM2, GPT-2) and SentencePiece-style BPE with byte fallback (Llama-2)";

    private const string Cure = "correct the file or download it again";

    private readonly string _path;
    private readonly TokenSpelling _spelling;
    private readonly HashSet<int> _unspellable = [];         // tokens that text cannot become: those of byte fallback, and added ones that the vocabulary lists too
    private readonly int[] _fallbackIds = new int[256];      // of the tokens <0x00> … <0xFF>; −1: none
    private char[] _characters = new char[256];
    private byte[] _bytes = new byte[1024];

    private BpeModelReader(string path, TokenSpelling spelling)
    {
        (_path, _spelling) = (path, spelling);
        _fallbackIds.AsSpan().Fill(-1);
    }

    /// <summary>The vocabulary.</summary>
    public TokenTable Tokens { get; } = new();

    /// <summary>The merge rules.</summary>
    public MergeTable Merges { get; private set; } = new(0);

    /// <summary>How a model spells its tokens; refuses a model of another kind.</summary>
    /// <exception cref="NotSupportedException">Path, option, found, supported.</exception>
    public static TokenSpelling ReadOptions(JsonFields model)
    {
        if (model.Text("type") is not (null or "BPE"))       // the first files of the format name no type
            throw model.Unsupported("type", Supported);
        if (model.Double("dropout", 0, 1) is > 0)
            throw model.Unsupported("dropout", "none");
        foreach (string affix in (ReadOnlySpan<string>)["continuing_subword_prefix", "end_of_word_suffix"])
        {
            if (model.Text(affix) is { Length: > 0 })
                throw model.Unsupported(affix, $"none, as in {Supported}");
        }
        if (!model.Boolean("byte_fallback", absent: false))
            return TokenSpelling.ByteAlphabet;
        return model.Boolean("ignore_merges", absent: false) ? throw model.Unsupported("ignore_merges", "false where byte_fallback is true") : TokenSpelling.SpaceMark;
    }

    /// <summary>Reads both tables.</summary>
    /// <exception cref="InvalidDataException">Path, byte, found, expected.</exception>
    public static BpeModelReader Read(TokenizerJson json, TokenSpelling spelling)
    {
        BpeModelReader model = new(json.Path, spelling);
        model.ReadVocabulary(json.Bytes.AsSpan(json.Vocabulary), json.Vocabulary.Start.Value);
        model.ReadMerges(json.Bytes.AsSpan(json.Merges), json.Merges.Start.Value);
        return model;
    }

    /// <summary>The symbol of each byte: its own token, else that of byte fallback, else −1.</summary>
    public int[] ByteIds() => [.. Enumerable.Range(0, 256).Select(value => Tokens.Find([(byte)value]) is >= 0 and int id ? id : _fallbackIds[value])];

    private void ReadVocabulary(ReadOnlySpan<byte> json, int offset)
    {
        Utf8JsonReader reader = new(json);
        if (json.IsEmpty || !reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            throw MalformedFile.In(_path, "model.vocab", json.IsEmpty ? "nothing" : $"{reader.TokenType}", "an object of ids", Cure);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool spellable = TryReadToken(ref reader, offset, out int length);
            reader.Read();
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt32(out int id) || id is < 0 or > MaximumId)
                throw Bad(reader.TokenStartIndex + offset, $"{reader.TokenType}", $"a token id from 0 to {MaximumId}");
            if (_spelling == TokenSpelling.SpaceMark && TokenSpellings.TryGetFallbackByte(_bytes.AsSpan(0, length), out byte value))
            {
                (_fallbackIds[value], spellable) = (id, false);
                (_bytes[0], length) = (value, 1);
            }
            if (!Tokens.TryAdd(id, _bytes.AsSpan(0, length)))
                throw Bad(reader.TokenStartIndex + offset, $"id {id} again", "each id once");
            if (!spellable)
                _unspellable.Add(id);
        }
        if (Tokens.Index(id => !_unspellable.Contains(id)) is { } twice)
            throw MalformedFile.In(_path, "model.vocab", $"one token as ids {twice.First} and {twice.Second}", "each token once", Cure);
    }

    private void ReadMerges(ReadOnlySpan<byte> json, int offset)
    {
        Utf8JsonReader reader = new(json);
        if (json.IsEmpty || !reader.Read() || reader.TokenType != JsonTokenType.StartArray)
            throw MalformedFile.In(_path, "model.merges", json.IsEmpty ? "nothing" : $"{reader.TokenType}", "a list of pairs", Cure);
        List<(int Left, int Right, int Merged)> rules = new(Tokens.Count);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            long position = reader.TokenStartIndex + offset;
            if (!TryReadPair(ref reader, offset, out int left, out int length))
                throw Bad(position, $"rule {rules.Count} of another form", "\"a b\" or [\"a\", \"b\"] of tokens");
            ReadOnlySpan<byte> merged = _bytes.AsSpan(0, length);
            (int Left, int Right, int Merged) rule = (Tokens.Find(merged[..left]), Tokens.Find(merged[left..]), Tokens.Find(merged));
            if (rule.Left < 0 || rule.Right < 0 || rule.Merged < 0)
                throw Bad(position, $"rule {rules.Count} with a part or a result that model.vocab lacks", "tokens of model.vocab");
            rules.Add(rule);
        }
        Merges = new MergeTable(rules.Count);
        for (int rank = 0; rank < rules.Count; rank++)
            Merges.Add(rules[rank].Left, rules[rank].Right, rank, rules[rank].Merged);
    }

    private InvalidDataException Bad(long position, string found, string expected) => MalformedFile.At(_path, position, found, expected, Cure);

    // The bytes of both parts of a rule, one behind the other in _bytes: the length of the left one, and of both.
    private bool TryReadPair(ref Utf8JsonReader reader, int offset, out int left, out int length)
    {
        (left, length) = (0, 0);
        if (reader.TokenType == JsonTokenType.String)
        {
            ReadOnlySpan<char> pair = ReadCharacters(ref reader, offset);
            int space = pair.IndexOf(' ');
            if (space <= 0 || !_spelling.TryGetBytes(pair[..space], _bytes, out left) || !_spelling.TryGetBytes(pair[(space + 1)..], _bytes.AsSpan(left), out int second))
                return false;
            length = left + second;
            return true;
        }
        if (reader.TokenType != JsonTokenType.StartArray
            || !reader.Read() || !TryReadToken(ref reader, offset, out left)
            || !reader.Read() || !TryReadToken(ref reader, offset, out int right, at: left))
            return false;
        length = left + right;
        return reader.Read() && reader.TokenType == JsonTokenType.EndArray;
    }

    // A token as bytes in _bytes from an offset on; false, with its UTF-8 bytes, if text cannot become it.
    private bool TryReadToken(ref Utf8JsonReader reader, int offset, out int length, int at = 0)
    {
        length = 0;
        if (reader.TokenType is not (JsonTokenType.String or JsonTokenType.PropertyName))
            return false;
        ReadOnlySpan<char> token = ReadCharacters(ref reader, offset);
        if (_bytes.Length < at + 3 * token.Length)
            Array.Resize(ref _bytes, 2 * (at + 3 * token.Length));
        return _spelling.TryGetBytes(token, _bytes.AsSpan(at), out length);
    }

    private ReadOnlySpan<char> ReadCharacters(ref Utf8JsonReader reader, int offset)
    {
        int bound = reader.ValueSpan.Length;                 // a JSON string has at least one byte for a UTF-16 unit
        if (_characters.Length < bound)
            _characters = new char[2 * bound];
        if (_bytes.Length < 3 * bound)
            Array.Resize(ref _bytes, 6 * bound);
        try
        {
            return _characters.AsSpan(0, reader.CopyString(_characters));
        }
        catch (InvalidOperationException)                    // half of a surrogate pair, or invalid UTF-8
        {
            throw Bad(reader.TokenStartIndex + offset, "a string that is no Unicode text", "UTF-8");
        }
    }
}
