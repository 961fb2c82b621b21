using System.Text.RegularExpressions;
using FastKron.Native.Formats;

namespace FastKron.Native.Tokenizers;

/// <summary>Reads the <c>pre_tokenizer</c> of a tokenizer.json.</summary>
internal static class PreTokenizerReader
{
    private const string Supported = "ByteLevel, after Split (Isolated) or Digits where wanted, in a Sequence";

    /// <summary>The steps in order. The last one in the file must be ByteLevel, which spells bytes as the vocabulary does.</summary>
    public static PreTokenizerStage[] Read(JsonFields root)
    {
        List<PreTokenizerStage> stages = [];
        bool byteLevel = false;
        if (root.Object("pre_tokenizer") is { } first)
            ReadInto(first, stages, ref byteLevel);
        return byteLevel ? [.. stages] : throw root.Unsupported("pre_tokenizer", Supported);
    }

    private static void ReadInto(JsonFields fields, List<PreTokenizerStage> stages, ref bool byteLevel)
    {
        switch (fields.Text("type"))
        {
            case "Sequence":
                foreach (JsonFields item in fields.Objects("pretokenizers"))
                    ReadInto(item, stages, ref byteLevel);
                break;
            case "ByteLevel" when !byteLevel:
                byteLevel = true;
                bool pattern = fields.Boolean("use_regex", absent: true);
                stages.Add(new PreTokenizerStage(pattern ? new Gpt2Scanner() : null, fields.Boolean("add_prefix_space", absent: true)));
                break;
            case "Digits" when !byteLevel:
                stages.Add(new PreTokenizerStage(new DigitsScanner(fields.Boolean("individual_digits", absent: false)), PrefixSpace: false));
                break;
            case "Split" when !byteLevel:
                stages.Add(new PreTokenizerStage(ReadSplit(fields), PrefixSpace: false));
                break;
            default:
                throw fields.Unsupported("type", Supported);
        }
    }

    private static IPieceScanner ReadSplit(JsonFields split)
    {
        if (split.Text("behavior") != "Isolated")            // under Isolated, invert changes nothing
            throw split.Unsupported("behavior", "Isolated");
        JsonFields pattern = split.Object("pattern") ?? throw split.Bad("pattern", "an object with Regex or String");
        string expression = pattern.Text("Regex") ?? Regex.Escape(pattern.Text("String") ?? throw split.Bad("pattern", "an object with Regex or String"));
        return expression switch
        {
            Cl100kScanner.ThreeDigits => new Cl100kScanner(digits: 3),
            Cl100kScanner.OneDigit => new Cl100kScanner(digits: 1),
            Gpt2Scanner.Pattern => new Gpt2Scanner(),
            _ => RegexScanner.FindUnsupported(expression) is { } part
                ? throw split.Unsupported("pattern", $"no '{part}' in it but {RegexScanner.Supported}")
                : new RegexScanner(expression),
        };
    }
}
