using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Formats;

namespace FastKron.Native.Calibration;

/// <summary>The file of a <see cref="CalibrationSet"/>, so that runs can share one set of ids.</summary>
/// <remarks>
/// Little-endian: the eight bytes <c>FKTOKENS</c>; int32 version, sequences n, documents, bytes of the source s; int64 tokens t; s bytes of the source in
/// UTF-8; n int32 lengths; t int32 ids; the SHA-256 of all before it, 32 bytes. Nothing follows.
/// </remarks>
internal static class CalibrationSetFile
{
    private const int Version = 1, HeaderBytes = 32, HashBytes = 32;
    private const string Cure = "make the file again";

    private static ReadOnlySpan<byte> Magic => "FKTOKENS"u8;

    public static void Write(string path, CalibrationSet set)
    {
        byte[] source = Encoding.UTF8.GetBytes(set.Source);
        byte[] bytes = new byte[checked((int)(HeaderBytes + source.Length + (4L * set.Sequences.Count) + (4 * set.Tokens) + HashBytes))];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), Version);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(12), set.Sequences.Count);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(16), set.Documents);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(20), source.Length);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(24), set.Tokens);
        source.CopyTo(bytes, HeaderBytes);
        Span<byte> rest = bytes.AsSpan(HeaderBytes + source.Length);
        foreach (int[] sequence in set.Sequences)
        {
            BinaryPrimitives.WriteInt32LittleEndian(rest, sequence.Length);
            rest = rest[4..];
        }
        foreach (int[] sequence in set.Sequences)
        {
            CalibrationSet.LittleEndianBytes(sequence).CopyTo(rest);
            rest = rest[(4 * sequence.Length)..];
        }
        SHA256.HashData(bytes.AsSpan(0, bytes.Length - HashBytes), rest);
        AtomicFile.WriteAllBytes(path, bytes);
    }

    public static CalibrationSet Read(string path)
    {
        if (!File.Exists(path))
            throw new InvalidDataException($"{path}: found no such file, expected calibration ids; {Cure}");
        ReadOnlySpan<byte> bytes = File.ReadAllBytes(path);
        if (bytes.Length < HeaderBytes + HashBytes || !bytes.StartsWith(Magic))
            throw MalformedFile.At(path, 0, "another format", "a file of calibration ids (FKTOKENS)", Cure);
        int version = ReadInt32(bytes, 8), count = ReadInt32(bytes, 12), documents = ReadInt32(bytes, 16), sourceBytes = ReadInt32(bytes, 20);
        long tokens = BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]);
        if (version != Version)
            throw MalformedFile.At(path, 8, $"version {version}", $"version {Version}", Cure);

        // The length is checked before anything is allocated: all three sizes are at most the file's.
        bool inside = count >= 0 && sourceBytes >= 0 && tokens >= 0 && tokens <= bytes.Length;
        long expected = HeaderBytes + (long)sourceBytes + (4L * count) + (4 * tokens) + HashBytes;
        if (!inside || expected != bytes.Length)
            throw MalformedFile.At(path, 12, $"{count} sequences, {tokens} tokens, {sourceBytes} bytes of source", $"those that fill {bytes.Length} bytes", Cure);
        if (!SHA256.HashData(bytes[..^HashBytes]).AsSpan().SequenceEqual(bytes[^HashBytes..]))
            throw MalformedFile.At(path, bytes.Length - HashBytes, "another SHA-256", "that of the content", Cure);

        int lengths = HeaderBytes + sourceBytes, ids = lengths + (4 * count);
        int[][] sequences = new int[count][];
        for (int i = 0; i < count; i++)
        {
            int length = ReadInt32(bytes, lengths + (4 * i));
            if (length < 1 || length > tokens)
                throw MalformedFile.At(path, lengths + (4 * i), $"a sequence of {length} tokens", "at least 1 and no more than the header says in all", Cure);
            tokens -= length;
            sequences[i] = new int[length];
            for (int j = 0; j < length; j++, ids += 4)
                sequences[i][j] = ReadInt32(bytes, ids);
        }
        if (tokens != 0)
            throw MalformedFile.At(path, 24, $"{tokens} more tokens", "as many as the sequences have", Cure);
        return CalibrationSet.Create(sequences, Encoding.UTF8.GetString(bytes.Slice(HeaderBytes, sourceBytes)), documents);
    }

    private static int ReadInt32(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadInt32LittleEndian(bytes[offset..]);
}
