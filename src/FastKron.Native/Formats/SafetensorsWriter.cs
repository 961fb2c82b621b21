using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace FastKron.Native.Formats;

/// <summary>Writes a safetensors file that appears whole or not at all; tensors are given one at a time, in any order, in pieces of any size.</summary>
/// <remarks>
/// The bytes depend on nothing but tensors and metadata: metadata in ordinal order of the keys, tensors by element size (largest first, so that every
/// one is aligned) and then by name, the header padded with spaces to a multiple of 8 bytes.
/// </remarks>
public sealed class SafetensorsWriter : IDisposable
{
    private const int HeaderAlignment = 8;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly AtomicFile _file;
    private readonly Dictionary<string, Cursor> _cursors;

    private SafetensorsWriter(AtomicFile file, Dictionary<string, Cursor> cursors) => (_file, _cursors) = (file, cursors);

    /// <summary>Where the next byte of a tensor goes and how many are wanted.</summary>
    private sealed class Cursor(long next, long missing)
    {
        public long Next { get; set; } = next;

        public long Missing { get; set; } = missing;
    }

    /// <summary>Absolute path under which the file will appear.</summary>
    public string Path => _file.Path;

    /// <summary>Reserves the file's bytes under a temporary name and writes the header.</summary>
    /// <param name="path">Final path; its folder exists. A file there is replaced when complete.</param>
    /// <param name="tensors">All tensors that will be written.</param>
    /// <param name="metadata">Strings that describe the file; transformers wants <c>format: pt</c> in a model's.</param>
    /// <exception cref="ArgumentException">A name twice, reserved or no Unicode text; a header above 100 MB.</exception>
    /// <exception cref="IOException">No room for the file, no folder, or another process writes it.</exception>
    public static SafetensorsWriter Create(string path, IEnumerable<SafetensorsTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        SafetensorsTensor[] ordered = [.. tensors];
        Array.Sort(ordered, static (a, b) => a.Type.Bits != b.Type.Bits ? b.Type.Bits.CompareTo(a.Type.Bits) : string.CompareOrdinal(a.Name, b.Name));

        byte[] header = ComposeHeader(ordered, metadata ?? new Dictionary<string, string>());
        var cursors = new Dictionary<string, Cursor>(ordered.Length);
        long offset = header.Length;
        foreach (SafetensorsTensor tensor in ordered)
        {
            cursors.Add(tensor.Name, new Cursor(offset, tensor.Bytes));
            offset = checked(offset + tensor.Bytes);
        }

        AtomicFile file = AtomicFile.Create(path, offset);
        try
        {
            file.Write(header, 0);
            return new SafetensorsWriter(file, cursors);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Appends bytes (little-endian, row-major) to a tensor.</summary>
    /// <exception cref="ArgumentException">No such tensor was declared, or more bytes than its size.</exception>
    /// <exception cref="IOException">The disk is full or failed.</exception>
    public void Write(string name, ReadOnlySpan<byte> bytes)
    {
        if (!_cursors.TryGetValue(name, out Cursor? cursor))
            throw new ArgumentException($"{Path}: {name} was not declared", nameof(name));
        if (bytes.Length > cursor.Missing)
            throw new ArgumentException($"{Path}: {name}: {bytes.Length} bytes given where {cursor.Missing} are missing", nameof(bytes));
        _file.Write(bytes, cursor.Next);
        cursor.Next += bytes.Length;
        cursor.Missing -= bytes.Length;
    }

    /// <summary>Flushes the file and gives it its name.</summary>
    /// <exception cref="InvalidOperationException">A tensor is not complete.</exception>
    /// <exception cref="IOException">The disk is full or failed.</exception>
    public void Commit()
    {
        foreach ((string name, Cursor cursor) in _cursors)
        {
            if (cursor.Missing != 0)
                throw new InvalidOperationException($"{Path}: {name} lacks {cursor.Missing} bytes");
        }
        _file.Commit();
    }

    /// <summary>Deletes the temporary file unless it was committed.</summary>
    public void Dispose() => _file.Dispose();

    private static byte[] ComposeHeader(SafetensorsTensor[] tensors, IReadOnlyDictionary<string, string> metadata)
    {
        var buffer = new ArrayBufferWriter<byte>();
        buffer.GetSpan(SafetensorsHeader.LengthBytes)[..SafetensorsHeader.LengthBytes].Clear();
        buffer.Advance(SafetensorsHeader.LengthBytes);
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata.Count > 0)
            {
                json.WriteStartObject(SafetensorsHeader.MetadataKey);
                foreach ((string key, string value) in metadata.OrderBy(static pair => pair.Key, StringComparer.Ordinal))
                    json.WriteString(CheckText(key), CheckText(value));
                json.WriteEndObject();
            }
            long offset = 0;
            foreach (SafetensorsTensor tensor in tensors)
            {
                if (tensor.Name == SafetensorsHeader.MetadataKey)
                    throw new ArgumentException($"{tensor.Name}: a reserved name", nameof(tensors));
                json.WriteStartObject(CheckText(tensor.Name));
                json.WriteString("dtype", tensor.Type.Name);
                json.WriteStartArray("shape");
                foreach (long size in tensor.Shape)
                    json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(offset = checked(offset + tensor.Bytes));
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }

        int bytes = (buffer.WrittenCount + HeaderAlignment - 1) / HeaderAlignment * HeaderAlignment;
        int length = bytes - SafetensorsHeader.LengthBytes;
        if (length > SafetensorsHeader.MaxBytes)
            throw new ArgumentException($"a header of {length} bytes; at most {SafetensorsHeader.MaxBytes} fit", nameof(tensors));
        byte[] header = new byte[bytes];
        buffer.WrittenSpan.CopyTo(header);
        header.AsSpan(buffer.WrittenCount).Fill((byte)' ');
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)length);
        return header;
    }

    // JSON writers replace half a surrogate pair silently, which could make two names one; the strict encoding throws ArgumentException.
    private static string CheckText(string text)
    {
        StrictUtf8.GetByteCount(text);
        return text;
    }
}
