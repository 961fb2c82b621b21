using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Evaluation;
using FastKron.Native.Tests.Formats;
using FastKron.Native.Tests.Tokenizers;
using FastKron.Native.Tokenizers;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation;

public sealed class EvaluationTextTests
{
    [TestCase("a.txt", "a.txt", TextForm.Plain, 0)]
    [TestCase("dir/a.raw:rows", "dir/a.raw", TextForm.Rows, 0)]
    [TestCase("a.raw:pages", "a.raw", TextForm.Pages, 0)]
    [TestCase("C:/a.raw:gguf", "C:/a.raw", TextForm.Gguf, 0)]
    [TestCase("c4.json.gz:c4", "c4.json.gz", TextForm.C4, 0)]
    [TestCase("self:100", "", TextForm.Self, 100)]
    public void Parse_Spelling_GivesFileAndForm(string argument, string path, TextForm form, int tokens)
        => Assert.That(TextArgument.Parse(argument), Is.EqualTo(new TextArgument(path, form, tokens)));

    [TestCase("self:")]
    [TestCase("self:1")]
    [TestCase("self:-5")]
    public void Parse_SelfWithoutTokens_SaysWhatIsExpected(string argument)
        => Assert.That(() => TextArgument.Parse(argument), Throws.ArgumentException.With.Message.StartsWith($"{argument}: expected self:TOKENS"));

    [Test]
    public void JoinRows_BlankAndFullRows_KeepTheirNewlinesAndGetTwoBetween()
        => Assert.That(TextArgument.JoinRows(" \n = Title = \n \nText\n"), Is.EqualTo("\n\n = Title = \n\n\n\n\nText\n"));

    // Figures of evaluation.md section 9.
    [Test]
    public void Read_WikiTextValidation_IsTheKnownTextWithItsKnownIds()
    {
        (string text, string hash) = TextArgument.Parse(SharedData.Path("text/wikitext2/wiki.valid.raw") + ":rows").Read();
        KnownText known = KnownText.Find(hash)!;
        Tokenizer llama3 = SharedTokenizers.Load("tokenizers/llama3"), qwen3 = SharedTokenizers.Load("tokenizers/qwen3");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Encoding.UTF8.GetByteCount(text), Is.EqualTo(1_151_766));
            Assert.That(known.Name, Is.EqualTo("wikitext2-valid"));
            Assert.That(known.Complain(llama3, llama3.Encode(text).Length), Is.Null);
            Assert.That(known.Complain(qwen3, qwen3.Encode(text).Length), Is.Null);
            Assert.That(known.Complain(llama3, 252_852), Does.Contain("found 252852 ids, expected 252853 with LLaMA-3's tokenizer"));
            Assert.That(known.Complain(Tokenizer.Load(SharedData.Model("tiny-llama")), 1), Is.Null, "no figure for other tokenizers");
            Assert.That(KnownText.Find(Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(SharedData.Path("text/wikitext2/wiki.valid.raw")))))?.Name, Is.EqualTo("wikitext2-valid-raw"));
        }
    }

    [Test]
    public void Read_MissingOrBrokenFile_NamesPathAndByte()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("text.txt");
        Assert.That(() => TextArgument.Parse(path).Read(), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith($"{path}: no such file"));
        File.WriteAllBytes(path, [(byte)'a', 0xFF, (byte)'b']);
        Assert.That(() => TextArgument.Parse(path).Read(), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith($"{path}: not UTF-8 at byte 1"));
    }

    [Test]
    public void Read_CompressedText_EqualsThePlainOne()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("a.txt"), "some text\n");
        using (var gzip = new GZipStream(File.Create(folder.File("a.txt.gz")), CompressionLevel.Fastest))
            gzip.Write("some text\n"u8);
        Assert.That(TextArgument.Parse(folder.File("a.txt.gz")).Read(), Is.EqualTo(TextArgument.Parse(folder.File("a.txt")).Read()));
    }

    [Test]
    public void Blocks_TextShorterThanABlock_NamesBothNumbers()
        => Assert.That(() => new EvaluationText("short", "", [1, 2, 3]).Blocks(64, null), Throws.TypeOf<InvalidDataException>().With.Message.Contains("3 tokens").And.Message.Contains("block of 64"));
}
