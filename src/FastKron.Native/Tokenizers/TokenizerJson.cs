using System.Text.Json;

namespace FastKron.Native.Tokenizers;

/// <summary>A tokenizer.json cut in three: the two tables of the model, read row by row because they have up to half a million, and the rest.</summary>
/// <param name="Path">The file.</param>
/// <param name="Bytes">All of it.</param>
/// <param name="Vocabulary">Where the value of <c>model.vocab</c> is, in bytes.</param>
/// <param name="Merges">Where the value of <c>model.merges</c> is.</param>
internal sealed record TokenizerJson(string Path, byte[] Bytes, Range Vocabulary, Range Merges)
{
    /// <summary>The file with <c>null</c> in place of the two tables.</summary>
    public ReadOnlyMemory<byte> Remainder { get; } = Cut(Bytes, Vocabulary, Merges);

    /// <summary>Finds the tables; reads to the end, so that all of the file is known to be JSON.</summary>
    /// <exception cref="InvalidDataException">No JSON.</exception>
    public static TokenizerJson Parse(string path, byte[] bytes)
    {
        try
        {
            Utf8JsonReader reader = new(bytes);
            Range vocabulary = 0..0, merges = 0..0;
            bool model = false;
            while (reader.Read())
            {
                if (reader.TokenType != JsonTokenType.PropertyName || reader.CurrentDepth > 2)
                    continue;
                if (reader.CurrentDepth == 1)
                    model = reader.ValueTextEquals("model"u8);
                bool isVocabulary = reader.CurrentDepth == 2 && model && reader.ValueTextEquals("vocab"u8);
                bool isMerges = reader.CurrentDepth == 2 && model && reader.ValueTextEquals("merges"u8);
                if (!isVocabulary && !isMerges)
                    continue;
                reader.Read();
                int start = (int)reader.TokenStartIndex;
                reader.Skip();
                Range value = start..(int)reader.BytesConsumed;
                (vocabulary, merges) = isVocabulary ? (value, merges) : (vocabulary, value);
            }
            return new TokenizerJson(path, bytes, vocabulary, merges);
        }
        catch (JsonException error)
        {
            throw new InvalidDataException(
                $"{path}: at line {error.LineNumber + 1}, byte {error.BytePositionInLine}: broken JSON: {error.Message}; download the file again", error);
        }
    }

    private static byte[] Cut(byte[] bytes, Range first, Range second)
    {
        if (first.Start.Value > second.Start.Value)
            (first, second) = (second, first);
        return first.Equals(second)
            ? bytes
            : [.. bytes[..first.Start], .. Null(first), .. bytes[first.End..second.Start], .. Null(second), .. bytes[second.End..]];
    }

    // An absent table has the empty range at the start of the file.
    private static ReadOnlySpan<byte> Null(Range table) => table.End.Value == 0 ? [] : "null"u8;
}
