using System.IO.Compression;
using System.Text.Json;

namespace FastKron.Native.Tokenizers;

/// <summary>Reads tokenizer.json and tokenizer_config.json.</summary>
internal static class TokenizerReader
{
    private const int MaximumBytes = 1 << 29;                // of tokenizer.json unpacked; the largest known ones have 40 MB
    private const string FileName = "tokenizer.json", ConfigName = "tokenizer_config.json";

    /// <inheritdoc cref="Tokenizer.Load"/>
    public static Tokenizer Read(string path, Action<string>? warn)
    {
        TokenizerSource source = new(Locate(path));
        TokenizerDefinition definition = WithTypedErrors(source, () => ReadDefinition(source, ReadBytes(source)));
        TokenizerSource config = new(Path.Combine(Path.GetDirectoryName(source.Path)!, ConfigName));
        (int? bos, int? eos) = File.Exists(config.Path) ? WithTypedErrors(config, () => ReadConfig(config, definition)) : (null, null);
        return new Tokenizer(definition, bos, eos, warn);
    }

    private static string Locate(string path)
    {
        if (File.Exists(path))
            return Path.GetFullPath(path);
        string file = Path.GetFullPath(Path.Combine(path, FileName));
        if (File.Exists(file))
            return file;
        if (File.Exists(file + ".gz"))
            return file + ".gz";
        if (File.Exists(Path.Combine(path, "tokenizer.model")))
            throw new TokenizerSource(path).Unsupported("only tokenizer.model (SentencePiece)");
        throw new InvalidDataException($"{file}: not found, nor {FileName}.gz; a model folder needs one of them");
    }

    private static T WithTypedErrors<T>(TokenizerSource source, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (JsonException error)
        {
            throw source.Malformed($"no valid JSON: {error.Message}", error);
        }
    }

    private static byte[] ReadBytes(TokenizerSource source)
    {
        using FileStream stream = File.OpenRead(source.Path);
        using Stream content = source.Path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(stream, CompressionMode.Decompress) : stream;
        using MemoryStream bytes = new();
        byte[] buffer = new byte[1 << 16];
        while (ReadBlock(source, content, buffer) is > 0 and int read)
        {
            bytes.Write(buffer, 0, read);
            if (bytes.Length > MaximumBytes)
                throw source.Malformed($"more than {MaximumBytes} bytes; no tokenizer is that large");
        }
        return bytes.ToArray();
    }

    private static int ReadBlock(TokenizerSource source, Stream content, byte[] buffer)
    {
        try
        {
            return content.Read(buffer);
        }
        catch (InvalidDataException error)
        {
            throw source.Malformed($"no valid gzip file: {error.Message}", error);
        }
    }

    private static TokenizerDefinition ReadDefinition(TokenizerSource source, byte[] json)
    {
        Utf8JsonReader reader = new(json);
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            throw source.Malformed("expected a JSON object");
        BpeModelReader? model = null;
        Dictionary<string, JsonElement> parts = [];
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            reader.Read();
            if (name == "model")
                model = BpeModelReader.Read(source, ref reader);
            else
                parts[name] = JsonElement.ParseValue(ref reader);
        }
        reader.Read();                                       // throws on anything after the object
        if (model is null)
            throw source.Malformed("'model' is missing");

        JsonElement? Part(string name) => parts.TryGetValue(name, out JsonElement part) && part.ValueKind != JsonValueKind.Null ? part : null;
        if (Part("decoder") is not { } decoder || source.Type(decoder) != "ByteLevel")
            throw source.Unsupported($"decoder {(Part("decoder") is { } other ? source.Type(other) : "null")} (expected ByteLevel)");
        bool normalize = ReadNormalizer(source, Part("normalizer"));
        List<int> prefix = [], suffix = [];
        ReadPostProcessor(source, Part("post_processor"), prefix, suffix);
        return new TokenizerDefinition
        {
            Path = source.Path,
            Tokens = model.Tokens,
            Merges = model.Merges,
            IgnoreMerges = model.IgnoreMerges,
            Normalize = normalize,
            Stages = PreTokenizerReader.Read(source, Part("pre_tokenizer")),
            Added = new AddedTokens(ReadAdded(source, Part("added_tokens")), content => normalize ? NormalizationFormC.Apply(content) : content),
            Prefix = [.. prefix],
            Suffix = [.. suffix],
        };
    }

    private static List<AddedToken> ReadAdded(TokenizerSource source, JsonElement? element)
    {
        if (element is not { } array)
            return [];
        if (array.ValueKind != JsonValueKind.Array)
            throw source.Malformed("'added_tokens' is no array");
        List<AddedToken> tokens = [];
        HashSet<int> ids = [];
        HashSet<string> contents = new(StringComparer.Ordinal);
        foreach (JsonElement item in array.EnumerateArray())
        {
            AddedToken token = new(source.Id(item, "id"), source.Text(item, "content"), source.Flag(item, "special", absent: false),
                source.Flag(item, "single_word", absent: false), source.Flag(item, "lstrip", absent: false),
                source.Flag(item, "rstrip", absent: false), source.Flag(item, "normalized", absent: true));
            if (token.Content.Length == 0 || !ids.Add(token.Id) || !contents.Add(token.Content))
                throw source.Malformed($"added token {token.Id} '{token.Content}' is empty or there twice");
            tokens.Add(token);
        }
        return tokens;
    }

    // Whether text is normalized to form C; every other normalizer is refused.
    private static bool ReadNormalizer(TokenizerSource source, JsonElement? element)
    {
        if (element is not { } normalizer)
            return false;
        string type = source.Type(normalizer);
        if (type == "NFC")
            return true;
        if (type != "Sequence")
            throw source.Unsupported($"normalizer {type}");
        bool any = false;
        foreach (JsonElement item in source.Items(normalizer, "normalizers"))
            any |= ReadNormalizer(source, item);
        return any;
    }

    private static void ReadPostProcessor(TokenizerSource source, JsonElement? element, List<int> prefix, List<int> suffix)
    {
        if (element is not { } processor)
            return;
        switch (source.Type(processor))
        {
            case "ByteLevel":                                // moves offsets, not ids
                break;
            case "Sequence":
                foreach (JsonElement item in source.Items(processor, "processors"))
                    ReadPostProcessor(source, item, prefix, suffix);
                break;
            case "TemplateProcessing" when prefix.Count + suffix.Count == 0:
                ReadTemplate(source, processor, prefix, suffix);
                break;
            case string type:
                throw source.Unsupported($"post_processor {type}{(type == "TemplateProcessing" ? " twice" : "")}");
        }
    }

    private static void ReadTemplate(TokenizerSource source, JsonElement template, List<int> prefix, List<int> suffix)
    {
        int texts = 0;
        foreach (JsonElement item in source.Items(template, "single"))
        {
            if (source.Optional(item, "Sequence") is not null)
            {
                texts++;
                continue;
            }
            string name = source.Text(source.Required(item, "SpecialToken"), "id");
            JsonElement token = source.Required(source.Required(template, "special_tokens"), name);
            foreach (JsonElement id in source.Items(token, "ids"))
                (texts == 0 ? prefix : suffix).Add(source.Id(id));
        }
        if (texts != 1)
            throw source.Malformed($"post_processor TemplateProcessing: 'single' has the text {texts} times, expected once");
    }

    private static (int? Bos, int? Eos) ReadConfig(TokenizerSource source, TokenizerDefinition definition)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(source.Path));
        int? Find(string name)
        {
            if (source.Optional(document.RootElement, name) is not { } value)
                return null;
            string content = value.ValueKind == JsonValueKind.Object ? source.Text(value, "content") : source.Text(document.RootElement, name);
            return definition.Find(content) ?? throw source.Malformed($"{name} '{content}' is no token of {definition.Path}");
        }
        return (Find("bos_token"), Find("eos_token"));
    }
}
