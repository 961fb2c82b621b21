using System.Text;
using System.Text.Json.Nodes;
using FastKron.Native.Tokenizers;
using FsCheck;
using FsCheck.Fluent;
using NUnit.Framework;

namespace FastKron.Native.Tests.Tokenizers;

/// <summary>SentencePiece-style BPE with byte fallback, as LLaMA-2 has it; its goldens are in <see cref="TokenizerGoldenTests"/>.</summary>
public sealed class SpaceMarkTests
{
    private const string Mark = "\u2581";

    private static readonly string[] Letters = [Mark, "a", "b", "c", "é"];

    // Ids: <s> 0, </s> 1, bytes 2 … 257, then Letters, then what the rules make.
    private const int FirstByte = 2, FirstLetter = 258, FirstMerged = 263;

    [Test]
    public void Encode_SmallVocabulary_FollowsTheRulesInOrder()
    {
        using TokenizerFolder folder = Folder("a b", $"{Mark} a", "ab c");
        Tokenizer tokenizer = folder.Load();
        Assert.Multiple(() =>
        {
            // The space in front stays alone: "a b" is the earlier rule, so no a is left for "▁ a".
            Assert.That(tokenizer.Encode("abc", addSpecialTokens: false), Is.EqualTo(new[] { FirstLetter, FirstMerged + 2 }));
            Assert.That(tokenizer.Encode("ac", addSpecialTokens: false), Is.EqualTo(new[] { FirstMerged + 1, FirstLetter + 3 }));
            Assert.That(tokenizer.Encode("a", addSpecialTokens: true), Is.EqualTo(new[] { 0, FirstMerged + 1 }));
            Assert.That(tokenizer.Encode("", addSpecialTokens: true), Is.EqualTo(new[] { 0 }));
            Assert.That(tokenizer.Encode("b\u2581a", addSpecialTokens: false), Is.EqualTo(tokenizer.Encode("b a", addSpecialTokens: false)));
            // Each stretch of text between special tokens gets its own space.
            Assert.That(tokenizer.Encode("b</s>b", addSpecialTokens: false), Is.EqualTo(new[] { FirstLetter, FirstLetter + 2, 1, FirstLetter, FirstLetter + 2 }));
        });
    }

    [Test]
    public void Encode_CharacterWithoutToken_FallsBackToItsBytes()
    {
        using TokenizerFolder folder = Folder("a b");
        Tokenizer tokenizer = folder.Load();
        int[] expected = [FirstLetter, FirstLetter + 4, .. Encoding.UTF8.GetBytes("x猫🦙\n").Select(value => FirstByte + value)];
        Assert.That(tokenizer.Encode("éx猫🦙\n", addSpecialTokens: false), Is.EqualTo(expected));
        Assert.That(tokenizer.Decode(expected), Is.EqualTo("éx猫🦙\n"));
        Assert.That(tokenizer.DroppedBytes, Is.Zero);
    }

    // A rule across a space forbids the cut into words; the same rules with and without one that never applies must give the same ids.
    [Test]
    public void Encode_CutIntoWords_GivesTheIdsOfTheWholeText()
    {
        string[] rules = ["a b", $"{Mark} a", "b c", $"{Mark} {Mark}", $"{Mark}{Mark} a", $"{Mark}a b", "c c", "ab a"];
        using TokenizerFolder cut = Folder(rules), whole = Folder([.. rules, $"é {Mark}", $"é{Mark} é"]);
        Tokenizer words = cut.Load(), text = whole.Load();
        Gen<string> texts = Gen.Elements("a", "b", "c", " ", "  ", "ab", "x").ListOf().Select(string.Concat);
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll(texts.ToArbitrary(), t =>
            words.Encode(t, addSpecialTokens: false).SequenceEqual(text.Encode(t, addSpecialTokens: false))));
        Assert.That(text.Encode("é é", addSpecialTokens: false), Has.Length.EqualTo(2), "▁ and é▁é: merged across the space");
    }

    [Test]
    public void Decode_EncodedText_IsTheText([Values("tokenizers/llama2", "models/stories260K_hf")] string shared)
    {
        Tokenizer tokenizer = SharedTokenizers.Load(shared);
        Gen<string> texts = Gen.OneOf(Gen.Choose(1, 0x24F), Gen.Choose(0x20, 0x7E), Gen.Choose(0x4E00, 0x9FFF), Gen.Choose(0x1F300, 0x1F6FF))
            .Select(point => char.ConvertFromUtf32(point)).ListOf().Select(string.Concat);
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(1000), Prop.ForAll(texts.ToArbitrary(), text =>
        {
            int[] ids = tokenizer.Encode(text);
            TokenStreamDecoder stream = tokenizer.CreateStreamDecoder();
            return tokenizer.Decode(ids, skipSpecialTokens: true) == text && string.Concat(ids.Select(stream.Append)) + stream.Flush() == text;
        }));
    }

    [Test]
    public void CreateStreamDecoder_Continuation_KeepsTheSpace()
    {
        Tokenizer tokenizer = SharedTokenizers.Load("tokenizers/llama2");
        int[] ids = tokenizer.Encode("world", addSpecialTokens: false);
        Assert.That(string.Concat(ids.Select(tokenizer.CreateStreamDecoder(continuation: true).Append)), Is.EqualTo(" world"));
        Assert.That(string.Concat(ids.Select(tokenizer.CreateStreamDecoder().Append)), Is.EqualTo("world"));
        Assert.That(tokenizer.Decode([1, .. ids]), Is.EqualTo("<s> world"));
        Assert.That(tokenizer.Decode([1, .. ids], skipSpecialTokens: true), Is.EqualTo("world"));
    }

    private static IEnumerable<TestCaseData> Unsupported()
    {
        TestCaseData Case(string name, string expected, Action<JsonObject> change) => new TestCaseData(change, expected).SetArgDisplayNames(name);
        yield return Case("pre-tokenizer", "pre_tokenizer", root => root["pre_tokenizer"] = JsonNode.Parse("""{"type":"Metaspace"}"""));
        yield return Case("no normalizer", "normalizer", root => root.Remove("normalizer"));
        yield return Case("other prefix", "normalizer", root => root["normalizer"]!["normalizers"]![0]!["prepend"] = "_");
        yield return Case("no replacement", "normalizer", root => root["normalizer"]!["normalizers"]!.AsArray().RemoveAt(1));
        yield return Case("decoder without fallback", "decoder", root => root["decoder"]!["decoders"]!.AsArray().RemoveAt(1));
        yield return Case("two spaces stripped", "decoder", root => root["decoder"]!["decoders"]![3]!["start"] = 2);
        yield return Case("whole pieces", "ignore_merges", root => root["model"]!["ignore_merges"] = true);
        yield return Case("a byte without token", "unk_token", root => root["model"]!["vocab"]!.AsObject().Remove("<0x41>"));
    }

    [TestCaseSource(nameof(Unsupported))]
    public void Load_UnsupportedPart_NamesItAndWhatIs(Action<JsonObject> change, string expected)
    {
        using TokenizerFolder folder = new(Encoding.UTF8.GetBytes(Changed(Json("a b"), change)));
        Assert.That(() => folder.Load(), Throws.TypeOf<NotSupportedException>().With.Message.StartsWith(folder.JsonPath)
            .And.Message.Contains(expected).And.Message.Contains("supported is"));
    }

    [Test]
    public void Load_TokenWithBareSpace_IsNeverFound()
    {
        using TokenizerFolder folder = new(Encoding.UTF8.GetBytes(Changed(Json("a b"), root => root["model"]!["vocab"]![" "] = 300)));
        Assert.That(folder.Load().Encode("b", addSpecialTokens: false), Is.EqualTo(new[] { FirstLetter, FirstLetter + 2 }));
    }

    private static TokenizerFolder Folder(params string[] rules) => new(Encoding.UTF8.GetBytes(Json(rules).ToJsonString()));

    private static string Changed(JsonObject root, Action<JsonObject> change)
    {
        change(root);
        return root.ToJsonString();
    }

    private static JsonObject Json(params string[] rules)
    {
        JsonObject vocabulary = new() { ["<s>"] = 0, ["</s>"] = 1 };
        for (int value = 0; value < 256; value++)
            vocabulary[$"<0x{value:X2}>"] = FirstByte + value;
        foreach (string token in Letters.Concat(rules.Select(rule => rule.Replace(" ", "", StringComparison.Ordinal))))
            vocabulary[token] = vocabulary.Count;
        return new JsonObject
        {
            ["added_tokens"] = new JsonArray(Added(0, "<s>"), Added(1, "</s>")),
            ["normalizer"] = JsonNode.Parse($$"""{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"{{Mark}}"},{"type":"Replace","pattern":{"String":" "},"content":"{{Mark}}"}]}"""),
            ["post_processor"] = JsonNode.Parse("""{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],"special_tokens":{"<s>":{"ids":[0]}}}"""),
            ["decoder"] = JsonNode.Parse($$"""{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"{{Mark}}"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"""),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["unk_token"] = "<s>",
                ["fuse_unk"] = true,
                ["byte_fallback"] = true,
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. rules.Select(rule => (JsonNode)rule)]),
            },
        };
    }

    private static JsonObject Added(int id, string content) => new() { ["id"] = id, ["content"] = content, ["special"] = true, ["normalized"] = false };
}
