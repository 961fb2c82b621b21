using System.Text.Json;
using System.Text.RegularExpressions;

namespace FastKron.Native.Tokenizers;

/// <summary>Reads the <c>pre_tokenizer</c> of a tokenizer.json.</summary>
internal static class PreTokenizerReader
{
    /// <summary>The steps in order. The last one in the file must be ByteLevel, which spells bytes as the vocabulary does.</summary>
    public static PreTokenizerStage[] Read(TokenizerSource source, JsonElement? element)
    {
        if (element is not { } root)
            throw source.Unsupported("pre_tokenizer null");
        List<PreTokenizerStage> stages = [];
        bool byteLevel = false;
        ReadInto(source, root, stages, ref byteLevel);
        if (!byteLevel)
            throw source.Unsupported("a pre_tokenizer without ByteLevel");
        return [.. stages];
    }

    private static void ReadInto(TokenizerSource source, JsonElement element, List<PreTokenizerStage> stages, ref bool byteLevel)
    {
        string type = source.Type(element);
        if (byteLevel && type != "Sequence")
            throw source.Unsupported($"pre_tokenizer {type} after ByteLevel");
        switch (type)
        {
            case "Sequence":
                foreach (JsonElement item in source.Items(element, "pretokenizers"))
                    ReadInto(source, item, stages, ref byteLevel);
                break;
            case "ByteLevel":
                byteLevel = true;
                stages.Add(new PreTokenizerStage(source.Flag(element, "use_regex", absent: true) ? new Gpt2Scanner() : null,
                    source.Flag(element, "add_prefix_space", absent: true)));
                break;
            case "Digits":
                stages.Add(new PreTokenizerStage(new DigitsScanner(source.Flag(element, "individual_digits", absent: false)), PrefixSpace: false));
                break;
            case "Split":
                stages.Add(new PreTokenizerStage(ReadSplit(source, element), PrefixSpace: false));
                break;
            default:
                throw source.Unsupported($"pre_tokenizer {type}");
        }
    }

    private static IPieceScanner ReadSplit(TokenizerSource source, JsonElement element)
    {
        string behavior = source.Text(element, "behavior");
        if (behavior != "Isolated")                          // under Isolated, invert changes nothing
            throw source.Unsupported($"pre_tokenizer Split with behavior {behavior}");
        JsonElement pattern = source.Required(element, "pattern");
        string expression = source.Optional(pattern, "Regex") is null ? Regex.Escape(source.Text(pattern, "String")) : source.Text(pattern, "Regex");
        try
        {
            return expression switch
            {
                Cl100kScanner.ThreeDigits => new Cl100kScanner(digits: 3),
                Cl100kScanner.OneDigit => new Cl100kScanner(digits: 1),
                Gpt2Scanner.Pattern => new Gpt2Scanner(),
                _ => new RegexScanner(expression),
            };
        }
        catch (NotSupportedException error)
        {
            throw source.Unsupported($"pre_tokenizer Split: {error.Message}", error);
        }
    }
}
