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

    /// <summary>Text between non-normalized added tokens is brought to Unicode normalization form C.</summary>
    public required bool Normalize { get; init; }

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
        byte[] bytes = new byte[content.Length];
        return ByteAlphabet.TryGetBytes(content, bytes) && Tokens.Find(bytes) is >= 0 and int id ? id : null;
    }
}
