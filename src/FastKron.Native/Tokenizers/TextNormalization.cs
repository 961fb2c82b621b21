namespace FastKron.Native.Tokenizers;

/// <summary>What is done to text before it is cut.</summary>
internal enum TextNormalization
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Unicode normalization form C.</summary>
    FormC,

    /// <summary>A space in front of text that is not empty, and U+2581 read as a space: the vocabulary spells both the same.</summary>
    SpacePrefix,
}

/// <summary>Applies a normalization.</summary>
internal static class TextNormalizations
{
    /// <summary>The normalized text.</summary>
    public static ReadOnlySpan<char> Apply(this TextNormalization normalization, ReadOnlySpan<char> text) => normalization switch
    {
        TextNormalization.FormC => NormalizationFormC.Apply(text),
        TextNormalization.SpacePrefix when !text.IsEmpty => string.Concat(" ", text).Replace(TokenSpellings.SpaceMark, ' '),
        _ => text,
    };
}
