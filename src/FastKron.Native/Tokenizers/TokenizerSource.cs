using System.Text.Json;

namespace FastKron.Native.Tokenizers;

/// <summary>The file being read: typed access to its JSON, and errors that name it.</summary>
internal sealed class TokenizerSource(string path)
{
    /// <summary>What the folder supports, for messages.</summary>
    public const string Supported =
        "supported is byte-level BPE: normalizer NFC; pre-tokenizers Split (Isolated), ByteLevel, Digits, Sequence; post-processors TemplateProcessing, ByteLevel, Sequence";

    /// <summary>The file.</summary>
    public string Path => path;

    /// <summary>The file is not what its format asks for.</summary>
    public InvalidDataException Malformed(string message, Exception? inner = null) => new($"{path}: {message}", inner);

    /// <summary>The file asks for something that is not there.</summary>
    public NotSupportedException Unsupported(string message, Exception? inner = null) => new($"{path}: {message}; {Supported}", inner);

    /// <summary>A property that may be absent or null.</summary>
    /// <returns>Null for both.</returns>
    public JsonElement? Optional(JsonElement element, string name)
    {
        if (element.ValueKind != JsonValueKind.Object)
            throw Malformed($"expected an object with '{name}', found {element.ValueKind}");
        return element.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    /// <summary>A property that must be there.</summary>
    public JsonElement Required(JsonElement element, string name) => Optional(element, name) ?? throw Malformed($"'{name}' is missing in {Shorten(element)}");

    /// <summary>The <c>type</c> of a component.</summary>
    public string Type(JsonElement element) => Text(element, "type");

    /// <summary>A string property that must be there.</summary>
    public string Text(JsonElement element, string name)
    {
        JsonElement value = Required(element, name);
        try
        {
            return value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Malformed($"'{name}' is no string in {Shorten(element)}");
        }
        catch (InvalidOperationException error)              // a lone surrogate escape or invalid UTF-8
        {
            throw Malformed($"'{name}' is no valid Unicode in {Shorten(element)}", error);
        }
    }

    /// <summary>A Boolean property with a default.</summary>
    public bool Flag(JsonElement element, string name, bool absent) => Optional(element, name) switch
    {
        null => absent,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        _ => throw Malformed($"'{name}' is neither true nor false in {Shorten(element)}"),
    };

    /// <summary>A token id property that must be there.</summary>
    public int Id(JsonElement element, string name) => Id(Required(element, name));

    /// <summary>A token id.</summary>
    public int Id(JsonElement value) => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int id) && id is >= 0 and <= BpeModelReader.MaximumId
        ? id : throw Malformed($"expected a token id from 0 to {BpeModelReader.MaximumId}, found {Shorten(value)}");

    /// <summary>The elements of an array property that must be there.</summary>
    public JsonElement.ArrayEnumerator Items(JsonElement element, string name)
    {
        JsonElement value = Required(element, name);
        return value.ValueKind == JsonValueKind.Array ? value.EnumerateArray() : throw Malformed($"'{name}' is no array in {Shorten(element)}");
    }

    private static string Shorten(JsonElement element) => element.GetRawText() is { Length: > 80 } text ? $"{text.AsSpan(0, 80)}…" : element.GetRawText();
}
