using System.Text;
using System.Text.Json;
using FastKron.Native.Formats;

namespace FastKron.Native.Calibration;

/// <summary>Reads the documents of calibration files: text (.txt, .utf8), or .jsonl with a <c>text</c> or <c>content</c> field a line; each also as .gz.</summary>
public static class CalibrationText
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Documents of several file arguments, in order.</summary>
    /// <param name="arguments">Each as <see cref="CalibrationFile.Parse"/> takes it.</param>
    /// <exception cref="FileNotFoundException">An argument names no file.</exception>
    /// <exception cref="NotSupportedException">A file has another ending, or a .jsonl file is to be cut.</exception>
    /// <exception cref="InvalidDataException">A file is not what its ending says: path, line, found, expected.</exception>
    public static IReadOnlyList<string> ReadDocuments(IEnumerable<string> arguments) =>
        [.. arguments.SelectMany(argument => ReadDocuments(CalibrationFile.Parse(argument)))];

    /// <summary>Documents of one file that hold more than white space.</summary>
    /// <inheritdoc cref="ReadDocuments(IEnumerable{string})"/>
    public static IReadOnlyList<string> ReadDocuments(CalibrationFile file)
    {
        bool compressed = file.Path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase);
        string ending = Path.GetExtension(compressed ? file.Path[..^3] : file.Path).ToLowerInvariant();
        bool jsonLines = ending == ".jsonl";
        if (!jsonLines && ending is not (".txt" or ".utf8"))
            throw new NotSupportedException($"{file.Path}: found the ending '{ending}', supported are .txt, .utf8 and .jsonl, each also with .gz behind it");
        if (jsonLines && file.Split != DocumentSplit.File)
            throw new NotSupportedException($"{file.Path}: found a document split, supported is none for .jsonl, where each line is a document");
        byte[] bytes = GzipFile.ReadAllBytes(file.Path);
        IEnumerable<string> documents = jsonLines ? ReadJsonLines(file.Path, bytes) : Cut(Decode(file.Path, bytes), file);
        return [.. documents.Where(document => !string.IsNullOrWhiteSpace(document))];
    }

    private static string Decode(string path, byte[] bytes)
    {
        try
        {
            return StrictUtf8.GetString(bytes).TrimStart('\uFEFF');
        }
        catch (DecoderFallbackException error)
        {
            int line = 1 + bytes.AsSpan(0, Math.Clamp(error.Index, 0, bytes.Length)).Count((byte)'\n');
            throw new InvalidDataException($"{path}: line {line}: found bytes that are no UTF-8, expected UTF-8 text; convert the file", error);
        }
    }

    private static IEnumerable<string> Cut(string text, CalibrationFile file) => file.Split switch
    {
        DocumentSplit.File => [text],
        DocumentSplit.Line => text.Split('\n').Select(line => line.TrimEnd('\r')),
        DocumentSplit.Marker => text.Split(file.Marker).Select(document => document.Trim('\r', '\n')),
        _ => CutWiki(file.Path, text),
    };

    private static List<string> CutWiki(string path, string text)
    {
        List<string> documents = [];
        int number = 0, opened = 0;
        StringBuilder document = new();
        foreach (string line in text.Split('\n'))
        {
            number++;
            bool opens = line.StartsWith("<doc ", StringComparison.Ordinal), closes = line.StartsWith("</doc>", StringComparison.Ordinal);
            if (opens && opened > 0)
                throw BadBlock(path, number, $"<doc inside the block of line {opened}", "</doc> first");
            if (!opens && opened == 0 && !string.IsNullOrWhiteSpace(line))
                throw BadBlock(path, number, "text outside <doc …> blocks", "none");
            if (opens)
                opened = number;
            else if (!closes && opened > 0)
                document.Append(line).Append('\n');
            if (!closes)
                continue;
            documents.Add(document.ToString().Trim('\r', '\n'));
            document.Clear();
            opened = 0;
        }
        return opened == 0 ? documents : throw BadBlock(path, opened, "<doc without </doc>", "both");
    }

    private static InvalidDataException BadBlock(string path, int line, string found, string expected) =>
        new($"{path}: line {line}: found {found}, expected {expected}; copy the file again or choose another split");

    private static List<string> ReadJsonLines(string path, byte[] bytes)
    {
        List<string> documents = [];
        int number = 0;
        for (int start = 0, end; start < bytes.Length; start = end + 1)
        {
            end = Array.IndexOf(bytes, (byte)'\n', start);
            if (end < 0)
                end = bytes.Length;
            number++;
            ReadOnlyMemory<byte> line = bytes.AsMemory(start, end - start);
            if (line.Span.Trim(" \t\r"u8).IsEmpty)
                continue;
            documents.Add(ReadJsonLine(path, number, line));
        }
        return documents;
    }

    private static string ReadJsonLine(string path, int number, ReadOnlyMemory<byte> line)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement root = document.RootElement;
            if (root.ValueKind == JsonValueKind.Object
                && (root.TryGetProperty("text", out JsonElement text) || root.TryGetProperty("content", out text)) && text.ValueKind == JsonValueKind.String)
                return text.GetString()!;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new InvalidDataException($"{path}: line {number}: found broken JSON ({error.Message}), expected one object; correct the line", error);
        }
        throw new InvalidDataException($"{path}: line {number}: found no string 'text' or 'content', expected an object with one of them; rename the field");
    }
}
