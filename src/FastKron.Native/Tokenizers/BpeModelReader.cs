using System.Text.Json;

namespace FastKron.Native.Tokenizers;

/// <summary>Reads the <c>model</c> of a tokenizer.json: vocabulary, merge rules, options. Reads token by token, for the large ones have half a million rows.</summary>
internal sealed class BpeModelReader
{
    /// <summary>Largest token id accepted, so that a malformed file cannot ask for gigabytes.</summary>
    public const int MaximumId = (1 << 24) - 1;

    private readonly TokenizerSource _source;
    private readonly HashSet<int> _unspellable = [];         // tokens outside the byte alphabet: added ones that the vocabulary lists too
    private char[] _characters = new char[256];
    private byte[] _bytes = new byte[1024];
    private string? _unknownToken;

    private BpeModelReader(TokenizerSource source) => _source = source;

    /// <summary>The vocabulary.</summary>
    public TokenTable Tokens { get; } = new();

    /// <summary>The merge rules.</summary>
    public MergeTable Merges { get; private set; } = new(0);

    /// <summary>Whether a piece that is a token is taken whole.</summary>
    public bool IgnoreMerges { get; private set; }

    /// <summary>Reads the object at which <paramref name="reader"/> stands, and leaves the reader at its end.</summary>
    public static BpeModelReader Read(TokenizerSource source, ref Utf8JsonReader reader)
    {
        BpeModelReader model = new(source);
        model.ReadModel(ref reader);
        return model;
    }

    private void ReadModel(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw _source.Malformed($"'model' is no object but {reader.TokenType}");
        Utf8JsonReader vocabulary = default, merges = default;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            reader.Read();
            switch (name)
            {
                case "vocab":
                    vocabulary = reader;
                    reader.Skip();
                    break;
                case "merges":
                    merges = reader;
                    reader.Skip();
                    break;
                default:
                    ReadOption(name, JsonElement.ParseValue(ref reader));
                    break;
            }
        }
        if (vocabulary.TokenType == JsonTokenType.None || merges.TokenType == JsonTokenType.None)
            throw _source.Malformed($"'model' has no '{(vocabulary.TokenType == JsonTokenType.None ? "vocab" : "merges")}'");
        ReadVocabulary(ref vocabulary);
        ReadMerges(ref merges);
        if (_unknownToken is not null && Enumerable.Range(0, 256).Any(value => Tokens.Find([(byte)value]) < 0))
            throw _source.Unsupported($"model.unk_token '{_unknownToken}' together with bytes that have no token");
    }

    private void ReadOption(string name, JsonElement value)
    {
        switch (name)
        {
            case "type" when value.ValueKind != JsonValueKind.String || !value.ValueEquals("BPE"):
                throw _source.Unsupported($"model.type {value.GetRawText()}");
            case "byte_fallback" when value.ValueKind == JsonValueKind.True:
                throw _source.Unsupported("model.byte_fallback (SentencePiece-style BPE, such as Llama-2's)");
            case "dropout" when value.ValueKind == JsonValueKind.Number && value.GetDouble() != 0:
                throw _source.Unsupported($"model.dropout {value.GetRawText()}");
            case "continuing_subword_prefix" or "end_of_word_suffix" when value.ValueKind == JsonValueKind.String && !value.ValueEquals(""):
                throw _source.Unsupported($"model.{name} {value.GetRawText()}");
            case "unk_token" when value.ValueKind == JsonValueKind.String:
                _unknownToken = value.GetRawText().Trim('"');
                break;
            case "ignore_merges":
                IgnoreMerges = value.ValueKind == JsonValueKind.True;
                break;
        }
    }

    private void ReadVocabulary(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw _source.Malformed($"'model.vocab' is no object but {reader.TokenType}");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool spellable = TryReadToken(ref reader, out int length);
            reader.Read();
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt32(out int id) || id is < 0 or > MaximumId)
                throw _source.Malformed($"byte {reader.TokenStartIndex}: expected a token id from 0 to {MaximumId} in 'model.vocab'");
            if (!Tokens.TryAdd(id, _bytes.AsSpan(0, length)))
                throw _source.Malformed($"byte {reader.TokenStartIndex}: id {id} is given to two tokens in 'model.vocab'");
            if (!spellable)
                _unspellable.Add(id);
        }
        if (Tokens.Index(id => !_unspellable.Contains(id)) is { } twice)
            throw _source.Malformed($"ids {twice.First} and {twice.Second} are the same token in 'model.vocab'");
    }

    private void ReadMerges(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw _source.Malformed($"'model.merges' is no array but {reader.TokenType}");
        List<(int Left, int Right, int Merged)> rules = new(Tokens.Count);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            long position = reader.TokenStartIndex;
            int left, length;
            if (reader.TokenType == JsonTokenType.String)
            {
                left = ReadSpacedPair(ref reader, out length);
            }
            else
            {
                left = 0;
                bool pair = reader.TokenType == JsonTokenType.StartArray && reader.Read() && TryReadToken(ref reader, out left);
                int right = 0;
                pair = pair && reader.Read() && TryReadToken(ref reader, out right, at: left) && reader.Read() && reader.TokenType == JsonTokenType.EndArray;
                length = pair ? left + right : -1;
            }
            if (length < 0)
                throw _source.Malformed($"byte {position}: rule {rules.Count} of 'model.merges' is no pair of byte-level tokens");
            ReadOnlySpan<byte> merged = _bytes.AsSpan(0, length);
            (int Left, int Right, int Merged) rule = (Tokens.Find(merged[..left]), Tokens.Find(merged[left..]), Tokens.Find(merged));
            if (rule.Left < 0 || rule.Right < 0 || rule.Merged < 0)
                throw _source.Malformed($"byte {position}: rule {rules.Count} of 'model.merges' has a token, or makes one, that 'model.vocab' lacks");
            rules.Add(rule);
        }
        Merges = new MergeTable(rules.Count);
        for (int rank = 0; rank < rules.Count; rank++)
            Merges.Add(rules[rank].Left, rules[rank].Right, rank, rules[rank].Merged);
    }

    // "left right" as one string: bytes of both in _bytes; the length of the left one, and of both or −1.
    private int ReadSpacedPair(ref Utf8JsonReader reader, out int length)
    {
        ReadOnlySpan<char> pair = ReadCharacters(ref reader);
        int space = pair.IndexOf(' ');
        bool valid = space > 0 && ByteAlphabet.TryGetBytes(pair[..space], _bytes) && ByteAlphabet.TryGetBytes(pair[(space + 1)..], _bytes.AsSpan(space));
        length = valid ? pair.Length - 1 : -1;
        return space;
    }

    // A token as bytes in _bytes from an offset on; false, with its UTF-8 bytes, if it is not spelled in the byte alphabet.
    private bool TryReadToken(ref Utf8JsonReader reader, out int length, int at = 0)
    {
        length = 0;
        if (reader.TokenType is not (JsonTokenType.String or JsonTokenType.PropertyName))
            return false;
        ReadOnlySpan<char> token = ReadCharacters(ref reader);
        if (_bytes.Length < at + 3 * token.Length)
            Array.Resize(ref _bytes, 2 * (at + 3 * token.Length));
        length = token.Length;
        if (ByteAlphabet.TryGetBytes(token, _bytes.AsSpan(at)))
            return true;
        length = System.Text.Encoding.UTF8.GetBytes(token, _bytes.AsSpan(at));
        return false;
    }

    private ReadOnlySpan<char> ReadCharacters(ref Utf8JsonReader reader)
    {
        int bound = reader.ValueSpan.Length;                 // a JSON string has at least one byte for a UTF-16 unit
        if (_characters.Length < bound)
            _characters = new char[2 * bound];
        if (_bytes.Length < bound)
            Array.Resize(ref _bytes, 2 * bound);
        try
        {
            return _characters.AsSpan(0, reader.CopyString(_characters));
        }
        catch (InvalidOperationException error)              // a lone surrogate escape or invalid UTF-8
        {
            throw _source.Malformed($"byte {reader.TokenStartIndex}: no valid Unicode", error);
        }
    }
}
