using FastKron.Native.Formats;

namespace FastKron.Native.Tokenizers;

/// <summary>Checks the parts of a tokenizer.json of SentencePiece-style BPE: LLaMA-2's are the only ones known, and have no options.</summary>
internal static class SpaceMarkReader
{
    private const string Mark = "\u2581";

    private const string NormalizerParts = "a Sequence of Prepend '\u2581' and Replace ' ' by '\u2581'";
    private const string DecoderParts = "a Sequence of Replace '\u2581' by ' ', ByteFallback, Fuse and Strip of one ' ' at the start";

    /// <summary>Refuses other parts.</summary>
    /// <exception cref="NotSupportedException">Path, part, found, supported.</exception>
    public static void Require(JsonFields root)
    {
        if (root.Contains("pre_tokenizer"))
            throw root.Unsupported("pre_tokenizer", "none where byte_fallback is true");
        bool normalizer = Items(root, "normalizer", "normalizers") is [var prepend, var marks]
            && prepend.Text("type") == "Prepend" && prepend.Text("prepend") == Mark && Replaces(marks, " ", Mark);
        if (!normalizer)
            throw root.Unsupported("normalizer", NormalizerParts);
        bool decoder = Items(root, "decoder", "decoders") is [var spaces, var bytes, var fuse, var strip]
            && Replaces(spaces, Mark, " ") && bytes.Text("type") == "ByteFallback" && fuse.Text("type") == "Fuse"
            && strip.Text("type") == "Strip" && strip.Text("content") == " " && strip.Int32("start", 0, int.MaxValue) == 1 && strip.Int32("stop", 0, int.MaxValue) is null or 0;
        if (!decoder)
            throw root.Unsupported("decoder", DecoderParts);
    }

    private static List<JsonFields> Items(JsonFields root, string part, string list) =>
        root.Object(part) is { } sequence && sequence.Text("type") == "Sequence" ? sequence.Objects(list) : [];

    private static bool Replaces(JsonFields item, string from, string to) =>
        item.Text("type") == "Replace" && item.Object("pattern")?.Text("String") == from && item.Text("content") == to;
}
