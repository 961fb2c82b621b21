using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;
using FastKron.Native.Tokenizers;
using NUnit.Framework;

namespace FastKron.Native.Tests.Tokenizers;

public sealed class TokenizerReaderTests
{
    private static JsonObject Parse(string json) => JsonNode.Parse(json)!.AsObject();

    private static IEnumerable<TestCaseData> Unsupported()
    {
        TestCaseData Case(string name, string expected, Action<JsonObject> change) => new TestCaseData(change, expected).SetArgDisplayNames(name);
        yield return Case("Unigram", "Unigram", root => root["model"]!["type"] = "Unigram");
        yield return Case("WordPiece", "WordPiece", root => root["model"]!["type"] = "WordPiece");
        yield return Case("dropout", "model.dropout", root => root["model"]!["dropout"] = 0.1);
        yield return Case("suffix", "end_of_word_suffix", root => root["model"]!["end_of_word_suffix"] = "</w>");
        yield return Case("no pre-tokenizer", "pre_tokenizer", root => root["pre_tokenizer"] = null);
        yield return Case("Metaspace", "Metaspace", root => root["pre_tokenizer"] = Parse("""{"type":"Metaspace"}"""));
        yield return Case("Removed", "Removed", root => root["pre_tokenizer"] = Parse("""{"type":"Split","pattern":{"Regex":"a"},"behavior":"Removed"}"""));
        yield return Case("pattern", "\\w", root => root["pre_tokenizer"] = Parse("""{"type":"Split","pattern":{"Regex":"\\w+"},"behavior":"Isolated"}"""));
        yield return Case("only Digits", "ByteLevel", root => root["pre_tokenizer"] = Parse("""{"type":"Digits","individual_digits":true}"""));
        yield return Case("Digits last", "Digits", root => root["pre_tokenizer"] = Parse("""{"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"Digits"}]}"""));
        yield return Case("NFKC", "NFKC", root => root["normalizer"] = Parse("""{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"NFKC"}]}"""));
        yield return Case("RobertaProcessing", "RobertaProcessing", root => root["post_processor"] = Parse("""{"type":"RobertaProcessing"}"""));
        yield return Case("WordPiece decoder", "WordPiece", root => root["decoder"] = Parse("""{"type":"WordPiece"}"""));
        yield return Case("no decoder", "decoder", root => root.Remove("decoder"));
        yield return Case("unknown token and no byte", "unk_token", root =>
        {
            root["model"]!["unk_token"] = "<|end_of_text|>";
            root["model"]!["merges"] = new JsonArray();
            root["model"]!["vocab"]!.AsObject().Remove("!");
        });
    }

    [TestCaseSource(nameof(Unsupported))]
    public void Load_UnsupportedPart_NamesItAndWhatIs(Action<JsonObject> change, string expected)
    {
        using TokenizerFolder folder = new(change);
        Assert.That(() => folder.Load(), Throws.TypeOf<NotSupportedException>().With.Message.StartsWith(folder.JsonPath)
            .And.Message.Contains(expected).And.Message.Contains("supported is"));
    }

    [Test]
    public void Load_OnlyTokenizerModel_SaysThatSentencePieceIsNotSupported()
    {
        using TokenizerFolder folder = new("{}"u8.ToArray());
        File.Move(folder.JsonPath, Path.Combine(folder.Path, "tokenizer.model"));
        Assert.That(() => folder.Load(), Throws.TypeOf<NotSupportedException>().With.Message.StartsWith(folder.Path).And.Message.Contains("SentencePiece"));
    }

    private static IEnumerable<TestCaseData> Malformed()
    {
        TestCaseData Case(string name, string expected, Action<JsonObject> change) => new TestCaseData(change, expected).SetArgDisplayNames(name);
        static JsonObject Model(JsonObject root) => root["model"]!.AsObject();
        yield return Case("no model", "model", root => root.Remove("model"));
        yield return Case("model is a list", "model", root => root["model"] = new JsonArray());
        yield return Case("no vocabulary", "model.vocab", root => Model(root).Remove("vocab"));
        yield return Case("vocabulary is a list", "model.vocab", root => Model(root)["vocab"] = new JsonArray());
        yield return Case("no merges", "model.merges", root => Model(root).Remove("merges"));
        yield return Case("merges is a number", "model.merges", root => Model(root)["merges"] = 3);
        yield return Case("id is text", "token id", root => Model(root)["vocab"]!["zz"] = "5");
        yield return Case("id is negative", "token id", root => Model(root)["vocab"]!["zz"] = -1);
        yield return Case("id is a fraction", "token id", root => Model(root)["vocab"]!["zz"] = 1.5);
        yield return Case("id of two gigabytes", "token id", root => Model(root)["vocab"]!["zz"] = int.MaxValue);
        yield return Case("id twice", "id 5 again", root => Model(root)["vocab"]!["zzzzz"] = 5);
        yield return Case("merge of one", "rule 0", root => Model(root)["merges"]![0] = new JsonArray("a"));
        yield return Case("merge of three", "rule 0", root => Model(root)["merges"]![0] = new JsonArray("a", "b", "c"));
        yield return Case("merge of numbers", "rule 0", root => Model(root)["merges"]![0] = new JsonArray(1, 2));
        yield return Case("merge without blank", "rule 1", root => Model(root)["merges"]![1] = "ab");
        yield return Case("merge of unknown", "rule 0", root => Model(root)["merges"]![0] = new JsonArray("qqqq", "z"));
        yield return Case("merge of what is no byte", "rule 0", root => Model(root)["merges"]![0] = new JsonArray("中", "z"));
        yield return Case("added without id", "added_tokens[0].id", root => root["added_tokens"]![0]!.AsObject().Remove("id"));
        yield return Case("added twice", "added_tokens[1].content", root => root["added_tokens"]![1]!["content"] = "<|begin_of_text|>");
        yield return Case("added empty", "added_tokens[1].content", root => root["added_tokens"]![1]!["content"] = "");
        yield return Case("added id twice", "added_tokens[1].id", root => root["added_tokens"]![1]!["id"] = 0);
        yield return Case("added id too large", "added_tokens[1].id", root => root["added_tokens"]![1]!["id"] = 1 << 30);
        yield return Case("flag is a number", "added_tokens[0].special", root => root["added_tokens"]![0]!["special"] = 1);
        yield return Case("template of an unknown token", "special_tokens", root =>
            root["post_processor"] = Parse("""{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<x>"}},{"Sequence":{"id":"A"}}],"special_tokens":{}}"""));
        yield return Case("template without text", "post_processor.single", root =>
            root["post_processor"] = Parse("""{"type":"TemplateProcessing","single":[],"special_tokens":{}}"""));
    }

    [TestCaseSource(nameof(Malformed))]
    public void Load_MalformedPart_NamesFileAndPart(Action<JsonObject> change, string expected)
    {
        using TokenizerFolder folder = new(change);
        Assert.That(() => folder.Load(), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(folder.JsonPath).And.Message.Contains(expected));
    }

    [TestCase("")]
    [TestCase("{")]
    [TestCase("[]")]
    [TestCase("null")]
    [TestCase("{} {}")]
    [TestCase("{\"model\":{\"vocab\":{\"\\ud800\":1},\"merges\":[]}}")]
    [TestCase("{\"model\":{\"type\":\"BPE\",\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}")]
    [TestCase("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")]
    public void Load_NoTokenizerAtAll_NamesTheFile(string content)
    {
        using TokenizerFolder folder = new(Encoding.UTF8.GetBytes(content));
        Assert.That(() => folder.Load(), Throws.Exception.With.Message.StartsWith(folder.JsonPath).And.TypeOf<InvalidDataException>().Or.TypeOf<NotSupportedException>());
    }

    [Test]
    public void Load_CutAnywhere_NamesTheFile()
    {
        byte[] whole = File.ReadAllBytes(Path.Combine(SharedData.Model("tiny-llama"), "tokenizer.json"));
        for (int length = 0; length < whole.Length - 2; length += 1 + whole.Length / 60)
        {
            using TokenizerFolder folder = new(whole[..length]);
            Assert.That(() => folder.Load(), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(folder.JsonPath), $"{length} bytes");
        }
    }

    [Test]
    public void Load_NoFile_NamesIt()
    {
        string folder = Path.Combine(Path.GetTempPath(), "fastkron-no-such-folder");
        Assert.That(() => Tokenizer.Load(folder), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(Path.Combine(folder, "tokenizer.json")));
    }

    [Test]
    public void Load_Compressed_IsRead()
    {
        byte[] whole = File.ReadAllBytes(Path.Combine(SharedData.Model("tiny-llama"), "tokenizer.json"));
        using TokenizerFolder folder = new(whole);
        File.Delete(folder.JsonPath);
        using (GZipStream stream = new(File.Create(folder.JsonPath + ".gz"), CompressionLevel.Fastest))
            stream.Write(whole);
        Assert.That(folder.Load().Encode("Hello world"), Is.EqualTo(Tokenizer.Load(SharedData.Model("tiny-llama")).Encode("Hello world")));

        byte[] broken = File.ReadAllBytes(folder.JsonPath + ".gz");
        broken.AsSpan(broken.Length / 2, 64).Fill(0xFF);
        File.WriteAllBytes(folder.JsonPath + ".gz", broken);
        Assert.That(() => folder.Load(), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(folder.JsonPath + ".gz"));
    }

    [Test]
    public void Load_MergesBeforeVocabularyAndAsText_IsTheSame()
    {
        using TokenizerFolder folder = new(root =>
        {
            JsonObject model = root["model"]!.AsObject();
            JsonNode vocabulary = model["vocab"]!.DeepClone();
            string[] rules = [.. model["merges"]!.AsArray().Select(rule => $"{rule![0]} {rule[1]}")];
            model.Remove("vocab");
            model["merges"] = new JsonArray([.. rules.Select(rule => (JsonNode)rule)]);
            model["vocab"] = vocabulary;
        });
        const string text = "The quick brown fox jumps over the lazy dog, 1234 times.";
        Assert.That(folder.Load().Encode(text), Is.EqualTo(Tokenizer.Load(SharedData.Model("tiny-llama")).Encode(text)));
    }

    [TestCase("""{"bos_token":"<|end_of_text|>","eos_token":{"content":"<|begin_of_text|>"}}""", 1, 0)]
    [TestCase("""{"bos_token":null}""", null, null)]
    [TestCase("{}", null, null)]
    public void Load_TokenizerConfig_GivesBosAndEos(string config, int? bos, int? eos)
    {
        using TokenizerFolder folder = new(_ => { });
        File.WriteAllText(Path.Combine(folder.Path, "tokenizer_config.json"), config);
        Tokenizer tokenizer = folder.Load();
        Assert.That((tokenizer.BosId, tokenizer.EosId), Is.EqualTo((bos, eos)));
    }

    [TestCase("""{"bos_token":"<none>"}""", "bos_token")]
    [TestCase("""{"eos_token":5}""", "eos_token")]
    [TestCase("{", "JSON")]
    public void Load_MalformedTokenizerConfig_NamesFileAndPart(string config, string expected)
    {
        using TokenizerFolder folder = new(_ => { });
        string path = Path.Combine(folder.Path, "tokenizer_config.json");
        File.WriteAllText(path, config);
        Assert.That(() => folder.Load(), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(path).And.Message.Contains(expected));
    }
}
