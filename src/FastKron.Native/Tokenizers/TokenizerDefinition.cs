namespace FastKron.Native.Tokenizers;

/// <summary>What a tokenizer.json says, checked.</summary>
internal sealed class TokenizerDefinition
{
    /// <summary>The file.</summary>
    public required string Path { get; init; }

    /// <summary>The model's vocabulary.</summary>
    public required TokenTable Tokens { get; init; }

    /// <summary>The model's merge rules.</summary>
    public required MergeTable Merges { get; init; }

    /// <summary>A piece that is a token is taken whole, whatever the merge rules make of it.</summary>
    public required bool IgnoreMerges { get; init; }

    /// <summary>How the file spells tokens.</summary>
    public required TokenSpelling Spelling { get; init; }

    /// <summary>The symbol that merging starts from for each of the 256 bytes (of ASCII characters, and of characters without token); −1 for none.</summary>
    public required int[] ByteIds { get; init; }

    /// <summary>What is done to text between non-normalized added tokens.</summary>
    public required TextNormalization Normalization { get; init; }

    /// <summary>How text between added tokens is cut.</summary>
    public required PreTokenizerStage[] Stages { get; init; }

    /// <summary>Tokens recognised in the text before anything else.</summary>
    public required AddedTokens Added { get; init; }

    /// <summary>Ids that the post-processor puts before a text.</summary>
    public required int[] Prefix { get; init; }

    /// <summary>Ids that the post-processor puts after a text.</summary>
    public required int[] Suffix { get; init; }

    /// <summary>The id of a token as written in the files, or null.</summary>
    public int? Find(string content)
    {
        if (Added.Find(content) is { } added)
            return added;
        byte[] bytes = new byte[3 * content.Length];
        return Spelling.TryGetBytes(content, bytes, out int length) && Tokens.Find(bytes.AsSpan(0, length)) is >= 0 and int id ? id : null;
    }
}
