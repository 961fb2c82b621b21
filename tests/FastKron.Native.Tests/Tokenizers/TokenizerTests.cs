using System.Text;
using System.Text.Json.Nodes;
using FastKron.Native.Tokenizers;
using FsCheck;
using FsCheck.Fluent;
using NUnit.Framework;

namespace FastKron.Native.Tests.Tokenizers;

public sealed class TokenizerTests
{
    private static readonly Tokenizer Tiny = Tokenizer.Load(SharedData.Model("tiny-llama"));

    [TestCase("tiny-llama", 2048, 0, 1)]
    [TestCase("tiny-qwen3", 2048, null, 0)]
    public void Load_ShippedModel_KnowsItsSpecialTokens(string model, int size, int? bos, int? eos)
    {
        Tokenizer tokenizer = Tokenizer.Load(SharedData.Model(model));
        Assert.That((tokenizer.VocabularySize, tokenizer.BosId, tokenizer.EosId), Is.EqualTo((size, bos, eos)));
        Assert.That(tokenizer.IsSpecial(eos!.Value), Is.True);
        Assert.That(tokenizer.IsSpecial(size - 1), Is.False);
    }

    [TestCase("tokenizers/llama2", 32_000, 1, 2)]
    [TestCase("models/stories260K_hf", 512, 1, 2)]
    [TestCase("tokenizers/llama3", 128_256, 128_000, 128_009)]
    [TestCase("tokenizers/qwen3", 151_669, null, 151_645)]
    [TestCase("models/smollm2-135m", 49_152, 1, 2)]
    public void Load_OfficialFiles_KnowsTheirSpecialTokens(string folder, int size, int? bos, int? eos)
    {
        Tokenizer tokenizer = SharedTokenizers.Load(folder);
        Assert.That((tokenizer.VocabularySize, tokenizer.BosId, tokenizer.EosId), Is.EqualTo((size, bos, eos)));
    }

    [Test]
    public void Encode_PostProcessorWithBos_AddsItOnlyWhenAsked()
    {
        Tokenizer tokenizer = SharedTokenizers.Load("tokenizers/llama3");
        Assert.That(tokenizer.Encode("Hello"), Is.EqualTo(new[] { 128_000, 9906 }));
        Assert.That(tokenizer.Encode("Hello", addSpecialTokens: false), Is.EqualTo(new[] { 9906 }));
        Assert.That(tokenizer.Encode(""), Is.EqualTo(new[] { 128_000 }));
        Assert.That(tokenizer.Decode([128_000, 9906], skipSpecialTokens: true), Is.EqualTo("Hello"));
        Assert.That(tokenizer.Decode([128_000, 9906]), Is.EqualTo("<|begin_of_text|>Hello"));
    }

    [Test]
    public void Decode_EncodedText_IsTheText([Values(null, "tokenizers/llama3")] string? shared)
    {
        Tokenizer tokenizer = shared is null ? Tiny : SharedTokenizers.Load(shared);
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll(ValidTexts(), text => tokenizer.Decode(tokenizer.Encode(text, addSpecialTokens: false)) == text));
    }

    [Test]
    public void Decode_EncodedTextOfNfcTokenizer_IsTheNormalizedText()
    {
        Tokenizer tokenizer = SharedTokenizers.Load("tokenizers/qwen3");
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll(ValidTexts(), text =>
            tokenizer.Decode(tokenizer.Encode(text, addSpecialTokens: false)) == NormalizationFormC.Apply(text)));
    }

    [Test]
    public void Encode_LoneSurrogate_IsTheReplacementCharacter()
    {
        foreach (string text in new[] { "a\uD800b", "\uDC00", "x\uD83D", "\uDC00\uD800 y" })
        {
            string same = text.Replace('\uD800', '\uFFFD').Replace('\uDC00', '\uFFFD').Replace('\uD83D', '\uFFFD');
            int[] ids = Tiny.Encode(text);
            Assert.That(ids, Is.EqualTo(Tiny.Encode(same)));
            Assert.That(Tiny.Decode(ids), Is.EqualTo(same));
        }
    }

    [Test]
    public void Encode_IntoList_Appends()
    {
        List<int> ids = [7];
        Tiny.Encode("Hello world", addSpecialTokens: true, ids);
        Assert.That(ids, Is.EqualTo(new[] { 7 }.Concat(Tiny.Encode("Hello world"))));
    }

    [Test]
    public void Encode_ManyThreads_GivesTheSameIds()
    {
        string[] texts = [.. Enumerable.Range(0, 200).Select(i => string.Concat(Enumerable.Repeat($"word{i} and {i * i} more, ", 1 + i % 7)))];
        int[][] expected = [.. texts.Select(text => Tiny.Encode(text))];
        Tokenizer fresh = Tokenizer.Load(SharedData.Model("tiny-llama"));
        int[][] actual = [.. texts.AsParallel().AsOrdered().WithDegreeOfParallelism(4).Select(text => fresh.Encode(text))];
        Assert.That(actual, Is.EqualTo(expected));
    }

    [Test]
    public void StreamDecoder_AnyText_GivesTheWholeTextInPieces()
    {
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(1000), Prop.ForAll(ValidTexts(), text =>
        {
            TokenStreamDecoder stream = Tiny.CreateStreamDecoder(skipSpecialTokens: false);
            StringBuilder all = new();
            foreach (int id in Tiny.Encode(text, addSpecialTokens: false))
                all.Append(stream.Append(id));
            return all.Append(stream.Flush()).ToString() == text;
        }));
    }

    [Test]
    public void StreamDecoder_CharacterOfFourTokens_IsHeldBack()
    {
        int[] ids = [.. Encoding.UTF8.GetBytes("🦙").Select(value => Enumerable.Range(0, Tiny.VocabularySize).First(id => Tiny.TokenBytes(id).SequenceEqual([value])))];
        TokenStreamDecoder stream = Tiny.CreateStreamDecoder();
        Assert.That(ids.Select(stream.Append), Is.EqualTo(new[] { "", "", "", "🦙" }));
        Assert.That(stream.Flush(), Is.Empty);
        stream.Append(ids[0]);
        Assert.That(stream.Flush(), Is.EqualTo("\uFFFD"));
    }

    [Test]
    public void StreamDecoder_SpecialToken_IsSkippedUnlessAsked()
    {
        Assert.That(Tiny.CreateStreamDecoder().Append(1), Is.Empty);
        Assert.That(Tiny.CreateStreamDecoder(skipSpecialTokens: false).Append(1), Is.EqualTo("<|end_of_text|>"));
    }

    [TestCase(-1)]
    [TestCase(2048)]
    [TestCase(int.MaxValue)]
    public void Decode_UnknownId_Throws(int id)
    {
        Assert.That(() => Tiny.Decode([id]), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("2047"));
        Assert.That(() => Tiny.CreateStreamDecoder().Append(id), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Encode_BytesWithoutToken_AreCountedAndReportedOnce()
    {
        using TokenizerFolder folder = new(root => RemoveBytes(root, '!', 'é'));
        List<string> warnings = [];
        Tokenizer tokenizer = folder.Load(warnings.Add);
        Assert.That(tokenizer.DroppedBytes, Is.Zero);
        Assert.That(tokenizer.Decode(tokenizer.Encode("a! é! b")), Is.EqualTo("a \uFFFD b"));     // ! is gone, and the second byte of é
        Assert.That(tokenizer.Encode("a!"), Is.EqualTo(Tiny.Encode("a")));
        Assert.That(tokenizer.DroppedBytes, Is.EqualTo(4));
        Assert.That(warnings, Has.Count.EqualTo(1));
        Assert.That(warnings[0], Does.StartWith(folder.JsonPath).And.Contains("21 A9"));
    }

    // Bytes 0x21 and 0xA9 are spelled ! and © in the vocabulary; every rule that has one of them goes too.
    private static void RemoveBytes(JsonObject root, char ascii, char accented)
    {
        char[] gone = [ascii, (char)Encoding.UTF8.GetBytes([accented])[1]];
        JsonObject vocabulary = root["model"]!["vocab"]!.AsObject();
        foreach (string token in vocabulary.Select(entry => entry.Key).Where(token => token.IndexOfAny(gone) >= 0).ToList())
            vocabulary.Remove(token);
        JsonArray merges = root["model"]!["merges"]!.AsArray();
        foreach (JsonNode? rule in merges.Where(rule => rule!.AsArray().Any(part => ((string)part!).IndexOfAny(gone) >= 0)).ToList())
            merges.Remove(rule);
    }

    private static Arbitrary<string> ValidTexts()
    {
        Gen<string> rune = Gen.OneOf(Gen.Choose(0x20, 0x7E), Gen.Choose(0, 0x24F), Gen.Choose(0x300, 0x36F), Gen.Choose(0, 0xD7FF), Gen.Choose(0xE000, 0x10FFFF))
            .Select(point => char.ConvertFromUtf32(point));
        return Gen.OneOf(rune, Gen.Elements(" the", " of", "ing", "\n\n", "12", "'s", "<|end_of_text|>")).ListOf().Select(string.Concat).ToArbitrary();
    }
}
