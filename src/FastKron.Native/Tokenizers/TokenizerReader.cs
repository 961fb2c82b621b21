using System.IO.Compression;
using FastKron.Native.Formats;

namespace FastKron.Native.Tokenizers;

/// <summary>Reads tokenizer.json and tokenizer_config.json.</summary>
internal static class TokenizerReader
{
    private const string FileName = "tokenizer.json", ConfigName = "tokenizer_config.json";
    private const int MaximumBytes = 1 << 29;                // of tokenizer.json unpacked; the largest known ones have 40 MB

    /// <inheritdoc cref="Tokenizer.Load"/>
    public static Tokenizer Read(string path, Action<string>? warn)
    {
        TokenizerDefinition definition = ReadDefinition(Locate(path));
        string config = Path.Combine(Path.GetDirectoryName(definition.Path)!, ConfigName);
        (int? bos, int? eos) = File.Exists(config) ? ReadConfig(config, definition) : (null, null);
        return new Tokenizer(definition, bos, eos, warn);
    }

    /// <summary>Reads a tokenizer.json or tokenizer.json.gz.</summary>
    public static TokenizerDefinition ReadDefinition(string file)
    {
        TokenizerJson json = TokenizerJson.Parse(file, ReadBytes(file));
        return JsonFields.Parse(file, json.Remainder, root =>
        {
            JsonFields options = root.Object("model") ?? throw root.Bad("model", "an object");
            TokenSpelling spelling = BpeModelReader.ReadOptions(options);
            TextNormalization normalization;
            PreTokenizerStage[] stages = [];
            if (spelling == TokenSpelling.SpaceMark)
            {
                SpaceMarkReader.Require(root);
                normalization = TextNormalization.SpacePrefix;
            }
            else
            {
                if (root.Object("decoder") is not { } decoder)
                    throw root.Unsupported("decoder", "ByteLevel");
                if (decoder.Text("type") != "ByteLevel")
                    throw decoder.Unsupported("type", "ByteLevel");
                normalization = root.Object("normalizer") is { } normalizer && ReadNormalizer(normalizer) ? TextNormalization.FormC : TextNormalization.None;
                stages = PreTokenizerReader.Read(root);
            }
            List<int> prefix = [], suffix = [];
            if (root.Object("post_processor") is { } processor)
                ReadPostProcessor(processor, prefix, suffix);
            List<AddedToken> added = ReadAdded(root);
            BpeModelReader model = BpeModelReader.Read(json, spelling);
            int[] byteIds = model.ByteIds();
            if (options.Contains("unk_token") && byteIds.Contains(-1))
                throw options.Unsupported("unk_token", "none where a byte has no token");
            if (spelling == TokenSpelling.SpaceMark && SpaceRunScanner.Fits(model.Tokens))
                stages = [new PreTokenizerStage(new SpaceRunScanner(), PrefixSpace: false)];
            return new TokenizerDefinition
            {
                Path = file,
                Tokens = model.Tokens,
                Merges = model.Merges,
                IgnoreMerges = options.Boolean("ignore_merges", absent: false),
                Spelling = spelling,
                ByteIds = byteIds,
                Normalization = normalization,
                Stages = stages,
                Added = new AddedTokens(added, content => normalization.Apply(content).ToString()),
                Prefix = [.. prefix],
                Suffix = [.. suffix],
            };
        });
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
            throw new NotSupportedException($"{path}: found only tokenizer.model (SentencePiece's own file), supported is {BpeModelReader.Supported} in a {FileName}");
        throw new InvalidDataException($"{file}: found neither this file nor {FileName}.gz, expected one of them; complete the model folder");
    }

    private static byte[] ReadBytes(string file)
    {
        using FileStream stream = File.OpenRead(file);
        using Stream content = file.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(stream, CompressionMode.Decompress) : stream;
        using MemoryStream bytes = new();
        byte[] buffer = new byte[1 << 16];
        try
        {
            for (int read; (read = content.Read(buffer)) > 0 && bytes.Length <= MaximumBytes;)
                bytes.Write(buffer, 0, read);
        }
        catch (InvalidDataException error)
        {
            throw new InvalidDataException($"{file}: broken gzip stream: {error.Message} Download the file again", error);
        }
        return bytes.Length <= MaximumBytes ? bytes.ToArray()
            : throw MalformedFile.At(file, MaximumBytes, "more bytes", $"a tokenizer of at most {MaximumBytes} bytes", "download the file again");
    }

    private static List<AddedToken> ReadAdded(JsonFields root)
    {
        List<AddedToken> tokens = [];
        HashSet<int> ids = [];
        HashSet<string> contents = new(StringComparer.Ordinal);
        foreach (JsonFields item in root.Objects("added_tokens"))
        {
            AddedToken token = new(item.RequiredInt32("id", 0, BpeModelReader.MaximumId), item.Text("content") ?? "",
                item.Boolean("special", absent: false), item.Boolean("single_word", absent: false), item.Boolean("lstrip", absent: false),
                item.Boolean("rstrip", absent: false), item.Boolean("normalized", absent: true));
            if (token.Content.Length == 0 || !contents.Add(token.Content))
                throw item.Bad("content", "a text, and each only once");
            if (!ids.Add(token.Id))
                throw item.Bad("id", "each id only once");
            tokens.Add(token);
        }
        return tokens;
    }

    // Whether text is normalized to form C; every other normalizer is refused.
    private static bool ReadNormalizer(JsonFields normalizer)
    {
        string? type = normalizer.Text("type");
        if (type is not ("NFC" or "Sequence"))
            throw normalizer.Unsupported("type", "NFC, or a Sequence of it");
        bool any = type == "NFC";
        foreach (JsonFields item in normalizer.Objects("normalizers"))
            any |= ReadNormalizer(item);
        return any;
    }

    private static void ReadPostProcessor(JsonFields processor, List<int> prefix, List<int> suffix)
    {
        switch (processor.Text("type"))
        {
            case "ByteLevel":                                // moves offsets, not ids
                break;
            case "Sequence":
                foreach (JsonFields item in processor.Objects("processors"))
                    ReadPostProcessor(item, prefix, suffix);
                break;
            case "TemplateProcessing" when prefix.Count + suffix.Count == 0:
                ReadTemplate(processor, prefix, suffix);
                break;
            default:
                throw processor.Unsupported("type", "ByteLevel, one TemplateProcessing, or a Sequence of them");
        }
    }

    private static void ReadTemplate(JsonFields template, List<int> prefix, List<int> suffix)
    {
        int texts = 0;
        foreach (JsonFields item in template.Objects("single"))
        {
            if (item.IsObject("Sequence"))
            {
                texts++;
                continue;
            }
            string name = item.Object("SpecialToken")?.Text("id") ?? throw item.Bad("SpecialToken", "an object with the id of a token");
            JsonFields token = template.Object("special_tokens")?.Object(name) ?? throw template.Bad("special_tokens", $"an object with '{name}'");
            (texts == 0 ? prefix : suffix).AddRange(token.OneOrMoreInt32("ids", 0, BpeModelReader.MaximumId));
        }
        if (texts != 1)
            throw template.Bad("single", "a list with the text (Sequence) once");
    }

    private static (int? Bos, int? Eos) ReadConfig(string file, TokenizerDefinition definition) => JsonFields.Read(file, root =>
    {
        return (Find("bos_token"), Find("eos_token"));

        int? Find(string name) => (root.IsObject(name) ? root.Object(name)!.Value.Text("content") : root.Text(name)) is not { } content ? null
            : definition.Find(content) ?? throw root.Bad(name, $"a token of {definition.Path}");
    });
}
