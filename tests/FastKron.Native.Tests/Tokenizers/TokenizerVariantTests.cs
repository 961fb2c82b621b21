using System.Text.Json;
using System.Text.Json.Nodes;
using FastKron.Native.Tokenizers;
using NUnit.Framework;

namespace FastKron.Native.Tests.Tokenizers;

/// <summary>Every supported part of a tokenizer.json, put into the tokenizer of tiny-llama, against ids of the Hugging Face library.</summary>
public sealed class TokenizerVariantTests
{
    private static readonly JsonObject Golden = JsonNode.Parse(GoldenFile.Read("tokenizer_variants.json"))!.AsObject();

    private static IEnumerable<string> Names() => Golden["variants"]!.AsArray().Select(variant => (string)variant!["name"]!);

    [TestCaseSource(nameof(Names))]
    public void Encode_Variant_GivesTheIdsOfHuggingFace(string name)
    {
        JsonNode variant = Golden["variants"]!.AsArray().Single(v => (string)v!["name"]! == name)!;
        using TokenizerFolder folder = new(root =>
        {
            foreach ((string part, JsonNode? value) in variant["parts"]!.AsObject())
            {
                if (part == "model")
                    root["model"]!["ignore_merges"] = value!["ignore_merges"]!.DeepClone();
                else
                    root[part] = value!.DeepClone();
            }
        });
        Tokenizer tokenizer = folder.Load();
        JsonArray cases = variant["cases"]!.AsArray();
        Assert.That(cases, Has.Count.GreaterThan(20));
        Assert.Multiple(() =>
        {
            foreach (JsonNode? item in cases)
            {
                string text = (string)item!["text"]!;
                int[] expected = item["ids"].Deserialize<int[]>()!;
                Assert.That(tokenizer.Encode(text), Is.EqualTo(expected), $"'{text}'");
            }
        });
    }
}

/// <summary>A temporary folder with tiny-llama's tokenizer.json, changed.</summary>
internal sealed class TokenizerFolder : IDisposable
{
    public TokenizerFolder(Action<JsonObject> change)
    {
        JsonObject root = JsonNode.Parse(File.ReadAllBytes(System.IO.Path.Combine(SharedData.Model("tiny-llama"), "tokenizer.json")))!.AsObject();
        change(root);
        File.WriteAllText(JsonPath, root.ToJsonString());
    }

    public TokenizerFolder(byte[] tokenizerJson) => File.WriteAllBytes(JsonPath, tokenizerJson);

    public string Path { get; } = Directory.CreateTempSubdirectory("fastkron-tokenizer-").FullName;

    public string JsonPath => System.IO.Path.Combine(Path, "tokenizer.json");

    public Tokenizer Load(Action<string>? warn = null) => Tokenizer.Load(Path, warn);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
