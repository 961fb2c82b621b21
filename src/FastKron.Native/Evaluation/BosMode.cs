namespace FastKron.Native.Evaluation;

/// <summary>Which special tokens stand before a text that is scored (evaluation.md section 1).</summary>
public enum BosMode
{
    /// <summary>None: as published tables have it.</summary>
    None,

    /// <summary>Those that the tokenizer adds by itself: one BOS for LLaMA, none for Qwen-3.</summary>
    Tokenizer,
}

/// <summary>Spellings of <see cref="BosMode"/>.</summary>
public static class BosModes
{
    /// <summary>none or tokenizer.</summary>
    public static string ToText(this BosMode mode) => mode == BosMode.None ? "none" : "tokenizer";

    /// <summary>The mode of a spelling.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static BosMode Parse(string text) => text switch
    {
        "none" => BosMode.None,
        "tokenizer" => BosMode.Tokenizer,
        _ => throw new ArgumentException($"--bos: found '{text}', expected none, tokenizer or none,tokenizer"),
    };
}
