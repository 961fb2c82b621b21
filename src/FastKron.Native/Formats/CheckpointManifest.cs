using System.Buffers;
using System.Security.Cryptography;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace FastKron.Native.Formats;

/// <summary><c>fastkron_manifest.json</c> of a folder that the engine wrote: how it was made, and the SHA-256 of every file beside it.</summary>
public static class CheckpointManifest
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "fastkron_manifest.json";

    private const int FormatVersion = 1;
    private const int ChunkBytes = 1 << 20;

    /// <summary>Hashes all files of a folder again and compares.</summary>
    /// <exception cref="InvalidDataException">No manifest, or a file is missing or differs: path, found, expected.</exception>
    public static void Verify(string folder, CancellationToken cancellation = default)
    {
        string path = Path.Combine(Path.GetFullPath(folder), FileName);
        List<(string Name, string Hash)> files = JsonFields.Read(path, fields =>
        {
            if (fields.RequiredInt32("format_version", 1, int.MaxValue) != FormatVersion)
                throw fields.Unsupported("format_version", $"{FormatVersion}");
            return (fields.Object("files") ?? throw fields.Bad("files", "an object: file name to SHA-256")).TextFields().ToList();
        });
        foreach ((string name, string expected) in files)
        {
            if (Path.GetFileName(name) != name)
            {
                throw MalformedFile.In(
                    path, "files", MalformedFile.Quote(name), "the plain name of a file in the same folder", "copy the folder again");
            }
            string file = Path.Combine(Path.GetDirectoryName(path)!, name);
            string found = File.Exists(file) ? Hash(file, cancellation) : "no file";
            if (found != expected)
                throw MalformedFile.In(path, name, found, $"SHA-256 {expected}", "the folder was changed or damaged: copy or make it again");
        }
    }

    /// <summary>Writes the manifest of a folder whose other files are complete.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="origin">How it was made: seeds, options, source; stored as it is.</param>
    /// <param name="cancellation">Stops the hashing.</param>
    internal static void Write(string folder, JsonObject origin, CancellationToken cancellation)
    {
        var files = new JsonObject();
        foreach (string file in Directory.GetFiles(folder).Order(StringComparer.Ordinal))
            files.Add(Path.GetFileName(file), Hash(file, cancellation));
        var manifest = new JsonObject
        {
            ["format_version"] = FormatVersion,
            ["engine"] = Engine.Version,
            ["origin"] = origin.DeepClone(),
            ["files"] = files,
        };
        AtomicFile.WriteAllBytes(Path.Combine(folder, FileName), Serialize(manifest));
    }

    /// <summary>Indented JSON in UTF-8, with a line feed at the end.</summary>
    internal static byte[] Serialize(JsonObject json)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var options = new JsonWriterOptions { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        using (var writer = new Utf8JsonWriter(buffer, options))
            json.WriteTo(writer);
        return [.. buffer.WrittenSpan, (byte)'\n'];
    }

    private static string Hash(string path, CancellationToken cancellation)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] chunk = new byte[ChunkBytes];
        for (int read; (read = stream.Read(chunk)) > 0;)
        {
            cancellation.ThrowIfCancellationRequested();
            hash.AppendData(chunk, 0, read);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
