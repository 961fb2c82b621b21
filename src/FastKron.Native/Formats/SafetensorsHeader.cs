using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace FastKron.Native.Formats;

/// <summary>The header of a safetensors file: reads and checks it without allocating anything of a size that the file claims.</summary>
/// <remarks>
/// Layout: N as u64 little-endian, N bytes of JSON, then the data without gaps. Rules checked here: N within the file and at most
/// <see cref="MaxBytes"/>; UTF-8, one JSON object that starts at its first byte; <c>__metadata__</c> absent, null or an object of strings; no
/// key twice; known types; product(shape) · bits equal to the span without overflow; spans contiguous from 0 to the end of the file.
/// </remarks>
internal sealed class SafetensorsHeader
{
    /// <summary>Bytes of the length that precedes the header.</summary>
    public const int LengthBytes = 8;

    /// <summary>Largest header in bytes; the limit of the format's reference implementation.</summary>
    public const int MaxBytes = 100_000_000;

    /// <summary>Key of the strings that describe the whole file.</summary>
    public const string MetadataKey = "__metadata__";

    private const string Cure = "the file is damaged or no safetensors file: download or write it again";

    private static ReadOnlySpan<byte> LfsPointer => "version https://git-lfs"u8;

    private readonly string _path;
    private readonly List<Placed> _spans = [];
    private readonly Dictionary<string, string> _metadata = [];

    private SafetensorsHeader(string path) => _path = path;

    private readonly record struct Placed(SafetensorsTensor Tensor, long Begin, long End);

    /// <summary>Tensors in the order of their bytes.</summary>
    public IReadOnlyList<SafetensorsTensor> Tensors { get; private set; } = [];

    /// <summary>Strings that describe the file.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <summary>Offset in the file of the first tensor's bytes.</summary>
    public long DataStart { get; private set; }

    /// <summary>Reads the header of a file.</summary>
    /// <param name="path">For messages.</param>
    /// <param name="start">The file's first bytes: all of it, or at least the header where that fits into an int.</param>
    /// <param name="fileBytes">Length of the file in bytes.</param>
    /// <exception cref="InvalidDataException">A rule is broken: path, byte offset, found, expected, cure.</exception>
    public static SafetensorsHeader Read(string path, ReadOnlySpan<byte> start, long fileBytes)
    {
        if (start.StartsWith(LfsPointer))
            throw MalformedFile.At(path, 0, "a Git-LFS pointer", "the file it points to", "run 'git lfs pull' in its folder");
        if (fileBytes < LengthBytes)
            throw MalformedFile.At(path, 0, $"{fileBytes} bytes", "a header length of 8 bytes", Cure);

        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(start);
        if (length > MaxBytes || length < 2)
            throw MalformedFile.At(path, 0, $"header length {length}", $"2 to {MaxBytes}", Cure);
        if ((long)length > fileBytes - LengthBytes)
            throw Incomplete(path, fileBytes, LengthBytes + length, "the header ends");

        var header = new SafetensorsHeader(path) { DataStart = LengthBytes + (long)length };
        header.ReadJson(start.Slice(LengthBytes, (int)length));
        header.CheckSpans(fileBytes);
        return header;
    }

    private static InvalidDataException Incomplete(string path, long found, ulong needed, string what) => MalformedFile.At(
        path, found, $"the end of the file after {found} bytes", $"{needed} bytes, where {what}", "the download is incomplete: resume or repeat it");

    private InvalidDataException Bad(long jsonOffset, string found, string expected) =>
        MalformedFile.At(_path, LengthBytes + jsonOffset, found, expected, Cure);

    private void ReadJson(ReadOnlySpan<byte> json)
    {
        if (json[0] != '{')
            throw Bad(0, $"byte 0x{json[0]:X2}", "'{', the start of the header");
        if (!Utf8.IsValid(json))
            throw Bad(0, "bytes that are no UTF-8", "a header in UTF-8");

        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 16 });
        try
        {
            ReadRoot(ref reader);
        }
        catch (JsonException e)
        {
            // The parser's position is by line; what it had read before the fault is near enough for a damaged header.
            throw new InvalidDataException(Bad(reader.BytesConsumed, "broken JSON", "one JSON object").Message, e);
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidDataException(Bad(reader.TokenStartIndex, "a string with half of a surrogate pair", "Unicode text").Message, e);
        }
    }

    private void ReadRoot(ref Utf8JsonReader reader)
    {
        reader.Read();
        var keys = new HashSet<string>();
        while (ReadKey(ref reader, keys, "the header") is { } key)
        {
            if (key == MetadataKey)
                ReadMetadata(ref reader);
            else
                ReadTensor(ref reader, key);
        }
        if (reader.Read())
            throw Bad(reader.TokenStartIndex, "more JSON", "the end of the header");
    }

    /// <summary>The next key of an object, with the reader at its value; null at the object's end.</summary>
    private string? ReadKey(ref Utf8JsonReader reader, HashSet<string> keys, string where)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.EndObject)
            return null;
        string key = reader.GetString()!;
        if (!keys.Add(key))
            throw Bad(reader.TokenStartIndex, $"{MalformedFile.Quote(key)} a second time in {where}", "every key once");
        reader.Read();
        return key;
    }

    private void Expect(ref Utf8JsonReader reader, JsonTokenType type, string what, string where)
    {
        if (reader.TokenType != type)
            throw Bad(reader.TokenStartIndex, $"{reader.TokenType} in {where}", what);
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        if (reader.TokenType == JsonTokenType.Null)       // what MLX writes for a file without metadata
            return;
        Expect(ref reader, JsonTokenType.StartObject, "an object of strings", MetadataKey);
        var keys = new HashSet<string>();
        while (ReadKey(ref reader, keys, MetadataKey) is { } key)
        {
            Expect(ref reader, JsonTokenType.String, "a string", $"{MetadataKey}.{MalformedFile.Quote(key)}");
            _metadata.Add(key, reader.GetString()!);
        }
    }

    private void ReadTensor(ref Utf8JsonReader reader, string name)
    {
        long start = reader.TokenStartIndex;
        string where = MalformedFile.Quote(name);
        Expect(ref reader, JsonTokenType.StartObject, "an object with dtype, shape and data_offsets", where);
        SafetensorsType? type = null;
        List<long>? shape = null, offsets = null;
        var keys = new HashSet<string>();
        while (ReadKey(ref reader, keys, where) is { } key)
        {
            switch (key)
            {
                case "dtype":
                    type = ReadType(ref reader, where);
                    break;
                case "shape":
                    shape = ReadNumbers(ref reader, where, key);
                    break;
                case "data_offsets":
                    offsets = ReadNumbers(ref reader, where, key);
                    break;
                default:
                    throw Bad(reader.TokenStartIndex, $"{MalformedFile.Quote(key)} in {where}", "only dtype, shape and data_offsets");
            }
        }
        if (type is null || shape is null || offsets is null)
            throw Bad(start, $"{where} with {string.Join(", ", keys)}", "all of dtype, shape and data_offsets");
        if (offsets.Count != 2 || offsets[0] > offsets[1])
            throw Bad(start, $"{where}: data_offsets [{string.Join(", ", offsets)}]", "[begin, end] with begin <= end");

        long span = offsets[1] - offsets[0];
        if (!SafetensorsTensor.TryCountBytes(type, shape, out long bytes) || bytes != span)
        {
            throw Bad(
                start, $"{where}: {type} {SafetensorsTensor.Describe(shape)} in a span of {span} bytes",
                "shape times element size to equal the span");
        }
        _spans.Add(new Placed(new SafetensorsTensor(name, type, shape), offsets[0], offsets[1]));
    }

    private SafetensorsType ReadType(ref Utf8JsonReader reader, string where)
    {
        Expect(ref reader, JsonTokenType.String, "a type's name", $"dtype of {where}");
        string name = reader.GetString()!;
        return SafetensorsType.Find(name)
            ?? throw Bad(reader.TokenStartIndex, $"dtype {MalformedFile.Quote(name)} of {where}", $"one of {string.Join(' ', SafetensorsType.All)}");
    }

    private List<long> ReadNumbers(ref Utf8JsonReader reader, string where, string key)
    {
        Expect(ref reader, JsonTokenType.StartArray, "an array of whole numbers", $"{key} of {where}");
        var numbers = new List<long>(4);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long number) || number < 0)
            {
                throw Bad(
                    reader.TokenStartIndex, $"{MalformedFile.Quote(Encoding.UTF8.GetString(reader.ValueSpan))} in {key} of {where}",
                    "a whole number from 0 to 2^63-1");
            }
            numbers.Add(number);
        }
        return numbers;
    }

    private void CheckSpans(long fileBytes)
    {
        _spans.Sort(static (a, b) => a.Begin != b.Begin ? a.Begin.CompareTo(b.Begin)
            : a.End != b.End ? a.End.CompareTo(b.End) : string.CompareOrdinal(a.Tensor.Name, b.Tensor.Name));
        long end = 0;
        foreach (Placed span in _spans)
        {
            if (span.Begin != end)
            {
                throw Bad(
                    DataStart - LengthBytes, $"{MalformedFile.Quote(span.Tensor.Name)} from data byte {span.Begin} on",
                    $"from {end}, where the tensor before it ends");
            }
            end = span.End;
        }
        long dataBytes = fileBytes - DataStart;
        if (dataBytes < end)
            throw Incomplete(_path, fileBytes, (ulong)DataStart + (ulong)end, "the last tensor ends");
        if (dataBytes > end)
            throw MalformedFile.At(_path, DataStart + end, $"{dataBytes - end} more bytes", "the end of the file, where the last tensor ends", Cure);
        Tensors = _spans.ConvertAll(static span => span.Tensor);
    }
}
