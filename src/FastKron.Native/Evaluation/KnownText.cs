using System.Globalization;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Evaluation;

/// <summary>A published text, known by the hash of its bytes, and how many ids it has (evaluation.md section 9).</summary>
/// <param name="Name">Set name in protocol ids.</param>
/// <param name="Hash">SHA-256 of its UTF-8 bytes.</param>
/// <param name="Llama2">Ids with LLaMA-2's tokenizer and its special tokens; null where not measured.</param>
/// <param name="Llama3">The same with LLaMA-3's.</param>
/// <param name="Qwen3">The same with Qwen-3's.</param>
public sealed record KnownText(string Name, string Hash, int? Llama2, int? Llama3, int? Qwen3)
{
    /// <summary>Sizes by which those tokenizers are known.</summary>
    private const int Llama2Vocabulary = 32000, Llama3Vocabulary = 128256, Qwen3Vocabulary = 151669;

    /// <summary>WikiText-2's test and validation files: rows joined with two line feeds, and raw.</summary>
    public static IReadOnlyList<KnownText> All { get; } =
    [
        new("wikitext2", "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83", 341469, 289077, 299078),
        new("wikitext2-valid", "b44fb967f92b525731216a507d1fbc44b97446b7ef0a2b4d1a893f81f1bbc29e", 299964, 252853, 262337),
        new("wikitext2-raw", "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08", 335688, 289077, 299078),
        new("wikitext2-valid-raw", "4cd0f6876d07a413aa911261ff6d363c72d757d47f0fdd6015702014c89cb9c7", null, null, null),
    ];

    /// <summary>The text of a hash, or null.</summary>
    public static KnownText? Find(string hash) => All.FirstOrDefault(t => t.Hash == hash);

    /// <summary>What is wrong with a number of ids, if the tokenizer is the one that its size says; null if nothing.</summary>
    public string? Complain(Tokenizer tokenizer, int ids)
    {
        (string name, int? expected) = tokenizer.VocabularySize switch
        {
            Llama2Vocabulary => ("LLaMA-2", Llama2),
            Llama3Vocabulary => ("LLaMA-3", Llama3),
            Qwen3Vocabulary => ("Qwen-3", Qwen3),
            _ => ("", null),
        };
        return expected is null || expected == ids ? null : string.Create(CultureInfo.InvariantCulture,
            $"{Name}: found {ids} ids, expected {expected} with {name}'s tokenizer; if this is a {name} model, {tokenizer.Path} is damaged and no figure is comparable with published ones");
    }
}
