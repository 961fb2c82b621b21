using System.Text;
using System.Text.Json;
using FastKron.Native.Tokenizers;
using NUnit.Framework;

namespace FastKron.Native.Tests.Tokenizers;

/// <summary>Ids against those of the Hugging Face library and of llama.cpp, which the shared folder holds.</summary>
public sealed class TokenizerGoldenTests
{
    [TestCase("tokenizers/golden_hf/golden.json", "tokenizers/llama2", "llama2")]
    [TestCase("tokenizers/golden_hf/golden.json", "tokenizers/llama3", "llama3")]
    [TestCase("tokenizers/golden_hf/golden.json", "tokenizers/qwen3", "qwen3")]
    [TestCase("models/smollm2-135m/golden_tokenizer.json", "models/smollm2-135m", "ids")]
    public void Encode_HuggingFaceCases_GivesTheirIds(string golden, string folder, string key)
    {
        Tokenizer tokenizer = SharedTokenizers.Load(folder);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(SharedData.Path(golden)));
        int cases = 0;
        Assert.Multiple(() =>
        {
            foreach (JsonElement item in document.RootElement.GetProperty("cases").EnumerateArray())
            {
                string text = item.GetProperty("text").GetString()!;
                int[] expected = [.. item.GetProperty(key).EnumerateArray().Select(id => id.GetInt32())];
                Assert.That(tokenizer.Encode(text, addSpecialTokens: false), Is.EqualTo(expected), $"'{text}'");
                cases++;
            }
        });
        Assert.That(cases, Is.EqualTo(211));
    }

    [TestCase("llama-spm", "tokenizers/llama2")]
    [TestCase("llama-bpe", "tokenizers/llama3")]
    [TestCase("qwen2", "tokenizers/qwen3")]
    public void Encode_LlamaCppCases_GivesTheirIds(string name, string folder)
    {
        Tokenizer tokenizer = SharedTokenizers.Load(folder);
        string stem = SharedData.Path($"tokenizers/golden_llamacpp/ggml-vocab-{name}.gguf.inp")[..^4];
        string[] texts = File.ReadAllText(stem + ".inp").Split("\n__ggml_vocab_test__\n");
        string[] lines = File.ReadAllText(stem + ".out").Split('\n');
        Assert.That(lines, Has.Length.EqualTo(texts.Length));
        Assert.Multiple(() =>
        {
            for (int i = 0; i < texts.Length; i++)
            {
                int[] expected = [.. lines[i].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)];
                Assert.That(tokenizer.Encode(texts[i], addSpecialTokens: false), Is.EqualTo(expected), $"case {i}: '{texts[i]}'");
            }
        });
    }

    // Counts from the README of the shared data and evaluation.md section 4, special tokens on.
    [TestCase("tokenizers/llama2", 299_964)]
    [TestCase("tokenizers/llama3", 252_853)]
    [TestCase("tokenizers/qwen3", 262_337)]
    [TestCase("models/smollm2-135m", 268_271)]
    public void Encode_WikiTextValidation_GivesTheKnownCount(string folder, int count)
    {
        Tokenizer tokenizer = SharedTokenizers.Load(folder);
        string text = SharedTokenizers.WikiText();
        int[] ids = tokenizer.Encode(text);
        Assert.That(ids, Has.Length.EqualTo(count));
        Assert.That(tokenizer.Decode(ids, skipSpecialTokens: true), Is.EqualTo(text));
    }
}

/// <summary>Tokenizers of the shared folder, each read once, and its text.</summary>
internal static class SharedTokenizers
{
    private static readonly Dictionary<string, Tokenizer> Loaded = [];

    public static Tokenizer Load(string folder)
    {
        string path = SharedData.Path(folder);
        lock (Loaded)
            return Loaded.TryGetValue(path, out Tokenizer? known) ? known : Loaded[path] = Tokenizer.Load(path);
    }

    /// <summary>wiki.valid.raw joined as evaluation.md section 4 says: rows end in LF, a row of one space is the empty row, "\n\n" between rows.</summary>
    public static string WikiText()
    {
        string[] rows = File.ReadAllText(SharedData.Path("text/wikitext2/wiki.valid.raw"), Encoding.UTF8).Split('\n')[..^1];
        return string.Join("\n\n", rows.Select(row => row == " " ? "" : row + "\n"));
    }
}
