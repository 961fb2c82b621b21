using System.IO.Compression;

namespace FastKron.Native.Formats;

/// <summary>Files that may be compressed.</summary>
internal static class GzipFile
{
    /// <summary>The content of a file, decompressed where its name ends in .gz.</summary>
    /// <exception cref="InvalidDataException">A broken gzip stream, or more bytes than an array holds: path, cure.</exception>
    public static byte[] ReadAllBytes(string path)
    {
        if (!path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase))
            return File.ReadAllBytes(path);
        using var stream = new GZipStream(File.OpenRead(path), CompressionMode.Decompress);
        using var bytes = new MemoryStream();
        byte[] buffer = new byte[1 << 16];
        try
        {
            for (int read; (read = stream.Read(buffer)) > 0;)
            {
                if (bytes.Length + read > Array.MaxLength)
                    throw new IOException($"{path}: found more than {Array.MaxLength} bytes of text, expected less; split the file");
                bytes.Write(buffer, 0, read);
            }
        }
        catch (InvalidDataException error)
        {
            throw new InvalidDataException($"{path}: broken gzip stream: {error.Message} Compress or download the file again", error);
        }
        return bytes.ToArray();
    }
}
