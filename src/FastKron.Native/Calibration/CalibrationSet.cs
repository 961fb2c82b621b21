using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace FastKron.Native.Calibration;

/// <summary>Token sequences for calibration, without padding, and where they came from.</summary>
/// <param name="Sequences">Each at most the context length; positions start at 0 in each.</param>
/// <param name="Source">Files, or <c>self:TOKENS</c>.</param>
/// <param name="Documents">Documents the sequences were cut from.</param>
/// <param name="Hash">SHA-256 of the ids (little-endian int32, each sequence preceded by its length), lower-case hex.</param>
public sealed record CalibrationSet(IReadOnlyList<int[]> Sequences, string Source, int Documents, string Hash)
{
    /// <summary>Tokens of all sequences.</summary>
    public long Tokens => Sequences.Sum(s => (long)s.Length);

    /// <summary>The first sequences with together at most so many tokens; the first at least. Sets are shuffled when they are made.</summary>
    public IReadOnlyList<int[]> Take(long tokens)
    {
        int count = 0;
        for (long left = tokens; count < Sequences.Count && (left -= Sequences[count].Length) >= 0;)
            count++;
        return [.. Sequences.Take(Math.Max(1, count))];
    }

    /// <summary>Makes a set and its hash.</summary>
    /// <inheritdoc cref="CalibrationSet(IReadOnlyList{int[]}, string, int, string)"/>
    public static CalibrationSet Create(IReadOnlyList<int[]> sequences, string source, int documents)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> length = stackalloc byte[sizeof(int)];
        foreach (int[] sequence in sequences)
        {
            BinaryPrimitives.WriteInt32LittleEndian(length, sequence.Length);
            hash.AppendData(length);
            hash.AppendData(LittleEndianBytes(sequence));
        }
        return new CalibrationSet(sequences, source, documents, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }

    /// <summary>Cuts the set into consecutive groups of nearly equal size, one for each gradient.</summary>
    /// <param name="groups">K, at least 1 and at most <see cref="Tokens"/>.</param>
    /// <returns>
    /// K lists of sequences; group k holds tokens ⌊k·T/K⌋ to ⌊(k+1)·T/K⌋ of all T. A sequence that crosses a border is cut there, and both parts have
    /// positions from 0; such a part can be a single token.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="groups"/> is out of range.</exception>
    public IReadOnlyList<IReadOnlyList<int[]>> Split(int groups)
    {
        long total = Tokens;
        if (groups < 1 || groups > total)
        {
            throw new ArgumentOutOfRangeException(
                nameof(groups), groups, $"{total} calibration tokens can be cut into 1 to {total} gradients; ask for fewer gradients or more tokens");
        }
        List<int[]>[] result = new List<int[]>[groups];
        long position = 0;                                   // of the next token, in the whole set
        int sequence = 0, used = 0;                          // used: tokens of the current sequence that earlier groups have
        for (int group = 0; group < groups; group++)
        {
            long end = (long)((Int128)(group + 1) * total / groups);
            result[group] = [];
            while (position < end)
            {
                int[] current = Sequences[sequence];
                int take = (int)Math.Min(current.Length - used, end - position);
                if (take > 0)
                    result[group].Add(take == current.Length ? current : current[used..(used + take)]);
                position += take;
                used += take;
                if (used == current.Length)
                    (sequence, used) = (sequence + 1, 0);
            }
        }
        return result;
    }

    /// <summary>Writes the set to a file, whole or not at all.</summary>
    /// <exception cref="IOException">The disk is full or failed.</exception>
    public void Save(string path) => CalibrationSetFile.Write(path, this);

    /// <summary>Reads a file that <see cref="Save"/> wrote, and checks it.</summary>
    /// <exception cref="InvalidDataException">Another format or version, cut off, or changed: path, byte, found, expected.</exception>
    public static CalibrationSet Load(string path) => CalibrationSetFile.Read(path);

    internal static ReadOnlySpan<byte> LittleEndianBytes(int[] values)
    {
        if (BitConverter.IsLittleEndian)
            return MemoryMarshal.AsBytes<int>(values);
        int[] swapped = new int[values.Length];
        BinaryPrimitives.ReverseEndianness(values, swapped);
        return MemoryMarshal.AsBytes<int>(swapped);
    }
}
