using System.Globalization;
using System.Text.Json;
using System.Text.Unicode;

namespace FastKron.Native.Formats;

/// <summary>The fields of one object in a JSON file, each read with its range; JSON null counts as absent.</summary>
internal readonly struct JsonFields
{
    /// <summary>Largest JSON file that is read, in bytes: far above any model's, far below what could exhaust memory.</summary>
    private const long MaxFileBytes = 100_000_000;

    private const string Cure = "correct the file or download it again";

    private readonly string _path;
    private readonly string _prefix;
    private readonly JsonElement _object;

    private JsonFields(string path, string prefix, JsonElement element) => (_path, _prefix, _object) = (path, prefix, element);

    /// <summary>Reads a JSON file that holds one object.</summary>
    /// <param name="path">The file.</param>
    /// <param name="read">Takes what is wanted out of it; the fields live no longer than this call.</param>
    /// <exception cref="InvalidDataException">Missing, too large, not UTF-8, not JSON, a key twice, or not an object: path, place, found, expected.</exception>
    public static T Read<T>(string path, Func<JsonFields, T> read)
    {
        return Parse(path, ReadBytes(path), read);
    }

    /// <summary>As <see cref="Read{T}"/>, from bytes of the file that are in memory already.</summary>
    public static T Parse<T>(string path, ReadOnlyMemory<byte> json, Func<JsonFields, T> read)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = false });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw MalformedFile.At(path, 0, $"{document.RootElement.ValueKind}", "a JSON object", Cure);
            return read(new JsonFields(path, "", document.RootElement));
        }
        catch (JsonException e)
        {
            throw new InvalidDataException(
                $"{path}: at line {e.LineNumber + 1}, byte {e.BytePositionInLine}: broken JSON or a key twice: {e.Message}; {Cure}", e);
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidDataException($"{path}: found a string with half of a surrogate pair, expected Unicode text; {Cure}", e);
        }
    }

    /// <summary>The bytes of a JSON file, checked to be UTF-8 and of a sane size.</summary>
    /// <param name="path">The file.</param>
    /// <param name="missing">Why it may be missing or what to give instead, for the message.</param>
    /// <exception cref="InvalidDataException">Missing, too large or not UTF-8.</exception>
    public static byte[] ReadBytes(string path, string missing = "the folder is no Hugging Face model or its download is incomplete")
    {
        var file = new FileInfo(path);
        if (!file.Exists)
            throw new InvalidDataException($"{path}: not there; {missing}");
        if (file.Length > MaxFileBytes)
            throw MalformedFile.At(path, MaxFileBytes, $"{file.Length} bytes", $"a JSON file of at most {MaxFileBytes}", Cure);
        byte[] json = File.ReadAllBytes(path);
        if (!Utf8.IsValid(json))
            throw MalformedFile.At(path, 0, "bytes that are no UTF-8", "JSON in UTF-8", Cure);
        return json;
    }

    /// <summary>The error of a field that has the wrong value.</summary>
    public InvalidDataException Bad(string name, string expected) =>
        MalformedFile.In(_path, _prefix + name, Find(name) is { } value ? MalformedFile.Quote(value.GetRawText()) : "nothing", expected, Cure);

    /// <summary>The error of a value that is legal but not implemented.</summary>
    public NotSupportedException Unsupported(string name, string supported) =>
        new($"{_path}: {_prefix}{name}: found {(Find(name) is { } value ? MalformedFile.Quote(value.GetRawText()) : "nothing")}, supported is {supported}");

    /// <summary>Whether the field is there and not null.</summary>
    public bool Contains(string name) => Find(name) is not null;

    /// <summary>A whole number in a range, or null where absent.</summary>
    public int? Int32(string name, int minimum, int maximum)
    {
        if (Find(name) is not { } value)
            return null;
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) && number >= minimum && number <= maximum
            ? number
            : throw Bad(name, $"a whole number from {minimum} to {maximum}");
    }

    /// <summary>A whole number in a range that must be there.</summary>
    public int RequiredInt32(string name, int minimum, int maximum) =>
        Int32(name, minimum, maximum) ?? throw Bad(name, $"a whole number from {minimum} to {maximum}");

    /// <summary>A finite number in a range, or null where absent.</summary>
    public double? Double(string name, double minimum, double maximum)
    {
        if (Find(name) is not { } value)
            return null;
        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number >= minimum && number <= maximum
            ? number
            : throw Bad(name, $"a number from {minimum:R} to {maximum:R}");
    }

    /// <summary>A finite number in a range that must be there.</summary>
    public double RequiredDouble(string name, double minimum, double maximum) =>
        Double(name, minimum, maximum) ?? throw Bad(name, $"a number from {minimum:R} to {maximum:R}");

    /// <summary>A truth value; <paramref name="absent"/> where there is none.</summary>
    public bool Boolean(string name, bool absent) => Find(name) is not { } value ? absent : value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Bad(name, "true or false"),
    };

    /// <summary>A string, or null where absent.</summary>
    public string? Text(string name)
    {
        if (Find(name) is not { } value)
            return null;
        return value.ValueKind == JsonValueKind.String ? value.GetString() : throw Bad(name, "a string");
    }

    /// <summary>A string that must be there.</summary>
    public string RequiredText(string name) => Text(name) ?? throw Bad(name, "a string");

    /// <summary>An index below <paramref name="count"/> that must be there: a whole number, the same as a string, or false and true for 0 and 1.</summary>
    public int RequiredIndex(string name, int count)
    {
        int index = Find(name) switch
        {
            { ValueKind: JsonValueKind.False } => 0,
            { ValueKind: JsonValueKind.True } => 1,
            { ValueKind: JsonValueKind.Number } number when number.TryGetInt32(out int value) => value,
            { ValueKind: JsonValueKind.String } text when int.TryParse(text.GetString(), NumberStyles.None, CultureInfo.InvariantCulture, out int value) => value,
            _ => -1,
        };
        return (uint)index < (uint)count ? index : throw Bad(name, $"a whole number from 0 to {count - 1}");
    }

    /// <summary>Names of all fields.</summary>
    public IEnumerable<string> Keys => _object.EnumerateObject().Select(p => p.Name);

    /// <summary>Names of all fields, for messages.</summary>
    public string Names => string.Join(", ", Keys);

    /// <summary>A list of strings; empty where absent.</summary>
    public List<string> Texts(string name)
    {
        var texts = new List<string>();
        if (Find(name) is not { } value)
            return texts;
        if (value.ValueKind != JsonValueKind.Array)
            throw Bad(name, "a list of strings");
        foreach (JsonElement item in value.EnumerateArray())
            texts.Add(item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Bad(name, "a list of strings"));
        return texts;
    }

    /// <summary>One whole number or a list of them, each in a range; empty where absent.</summary>
    public List<int> OneOrMoreInt32(string name, int minimum, int maximum)
    {
        var numbers = new List<int>();
        if (Find(name) is not { } value)
            return numbers;
        string expected = $"a whole number from {minimum} to {maximum}, a list of them or null";
        if (value.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement item in value.EnumerateArray())
                Add(this, item);
        }
        else
        {
            Add(this, value);
        }
        return numbers;

        void Add(JsonFields fields, JsonElement item)
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt32(out int number) || number < minimum || number > maximum)
                throw fields.Bad(name, expected);
            if (!numbers.Contains(number))
                numbers.Add(number);
        }
    }

    /// <summary>An object, or null where absent.</summary>
    public JsonFields? Object(string name)
    {
        if (Find(name) is not { } value)
            return null;
        return value.ValueKind == JsonValueKind.Object ? new JsonFields(_path, $"{_prefix}{name}.", value) : throw Bad(name, "an object");
    }

    /// <summary>Whether the field is an object.</summary>
    public bool IsObject(string name) => Find(name) is { ValueKind: JsonValueKind.Object };

    /// <summary>A list of objects; empty where absent.</summary>
    public List<JsonFields> Objects(string name)
    {
        var objects = new List<JsonFields>();
        if (Find(name) is not { } value)
            return objects;
        if (value.ValueKind != JsonValueKind.Array)
            throw Bad(name, "a list of objects");
        foreach (JsonElement item in value.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Object)
                throw Bad(name, "a list of objects");
            objects.Add(new JsonFields(_path, $"{_prefix}{name}[{objects.Count}].", item));
        }
        return objects;
    }

    /// <summary>All fields of an object of strings.</summary>
    public IEnumerable<(string Name, string Value)> TextFields()
    {
        foreach (JsonProperty property in _object.EnumerateObject())
            yield return (property.Name, Text(property.Name) ?? throw Bad(property.Name, "a string"));
    }

    private JsonElement? Find(string name) => _object.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;
}
