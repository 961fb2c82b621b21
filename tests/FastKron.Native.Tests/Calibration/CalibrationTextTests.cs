using System.IO.Compression;
using System.Text;
using FastKron.Native.Calibration;
using FastKron.Native.Tests.Tokenizers;
using FastKron.Native.Tokenizers;
using NUnit.Framework;

namespace FastKron.Native.Tests.Calibration;

public sealed class CalibrationTextTests
{
    private string _folder = "";

    [SetUp]
    public void CreateFolder() => _folder = Directory.CreateTempSubdirectory("fastkron-calibration-").FullName;

    [TearDown]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    [TestCase("a.txt", "", "one\n\ntwo\r\nthree\n", new[] { "one\n\ntwo\r\nthree\n" })]
    [TestCase("a.utf8", "", "é\n", new[] { "é\n" })]
    [TestCase("a.txt", ":lines", "one\n\n  \ntwo\r\nthree\u2028same", new[] { "one", "two", "three\u2028same" })]
    [TestCase("a.utf8", ":<|endoftext|>", "one\nmore\n<|endoftext|>\ntwo<|endoftext|>\n\n<|endoftext|>", new[] { "one\nmore", "two" })]
    [TestCase("a.txt", ":---:", "one\n---:\ntwo", new[] { "one", "two" })]
    [TestCase("a.txt", ":doc", "<doc id=\"1\">\nTitle\n\nText\n</doc>\n\n<doc id=\"2\">\n\n</doc>\n<doc id=\"3\">\nOther\n</doc>\n", new[] { "Title\n\nText", "Other" })]
    [TestCase("a.jsonl", "", "{\"text\":\"one\\u2028\\nmore\"}\n\n{\"content\":\"two\",\"id\":3}\r\n{\"text\":\"  \"}", new[] { "one\u2028\nmore", "two" })]
    [TestCase("a:lines.txt", "", "one\ntwo", new[] { "one\ntwo" })]
    [TestCase("a:lines.txt", ":lines", "one\ntwo", new[] { "one", "two" })]
    [TestCase("a.txt", "", " \n\t", new string[0])]
    public void ReadDocuments_File_GivesItsDocuments(string name, string suffix, string content, string[] expected)
    {
        Assert.That(CalibrationText.ReadDocuments([Write(name, content) + suffix]), Is.EqualTo(expected));
        Assert.That(CalibrationText.ReadDocuments([Compress(name, Encoding.UTF8.GetBytes(content)) + suffix]), Is.EqualTo(expected));
    }

    [Test]
    public void ReadDocuments_ByteOrderMark_IsNoText() =>
        Assert.That(CalibrationText.ReadDocuments([Write("a.txt", "\uFEFFone")]), Is.EqualTo(new[] { "one" }));

    [Test]
    public void ReadDocuments_TwoFiles_GivesBothInOrder() =>
        Assert.That(CalibrationText.ReadDocuments([Write("b.txt", "1\n2") + ":lines", Write("a.txt", "3")]), Is.EqualTo(new[] { "1", "2", "3" }));

    [TestCase("a.jsonl", "", "{\"text\":\"one\"}\n{\"text\":", "line 2")]
    [TestCase("a.jsonl", "", "{\"text\":\"one\"}\n\n{\"body\":\"two\"}", "line 3")]
    [TestCase("a.jsonl", "", "{\"text\":5}", "line 1")]
    [TestCase("a.jsonl", "", "{\"text\":\"\\ud800\"}", "line 1")]
    [TestCase("a.jsonl", "", "[1]", "line 1")]
    [TestCase("a.txt", ":doc", "<doc 1>\nx\n<doc 2>\n</doc>", "line 3")]
    [TestCase("a.txt", ":doc", "<doc 1>\nx\n</doc>\ny", "line 4")]
    [TestCase("a.txt", ":doc", "<doc 1>\nx\n", "line 1")]
    [TestCase("a.txt", ":doc", "</doc>", "line 1")]
    public void ReadDocuments_Malformed_NamesPathAndLine(string name, string suffix, string content, string place)
    {
        string path = Write(name, content);
        Assert.That(() => CalibrationText.ReadDocuments([path + suffix]), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith($"{path}: {place}:"));
    }

    [Test]
    public void ReadDocuments_NoUtf8_NamesPathAndLine()
    {
        string path = Path.Combine(_folder, "a.txt");
        File.WriteAllBytes(path, [.. "one\ntwo\n"u8, 0xC3, 0x28, .. "\nthree"u8]);
        Assert.That(() => CalibrationText.ReadDocuments([path]), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith($"{path}: line 3:"));
    }

    [Test]
    public void ReadDocuments_BrokenGzip_NamesPath()
    {
        string path = Write("a.txt.gz", "this is no gzip file");
        Assert.That(() => CalibrationText.ReadDocuments([path]), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(path));
    }

    [TestCase("a.parquet", "", ".jsonl")]
    [TestCase("a", "", ".jsonl")]
    [TestCase("a.jsonl", ":lines", "each line is a document")]
    public void ReadDocuments_Unsupported_SaysWhatIs(string name, string suffix, string expected)
    {
        string path = Write(name, "{}");
        Assert.That(() => CalibrationText.ReadDocuments([path + suffix]), Throws.TypeOf<NotSupportedException>().With.Message.StartsWith(path).And.Message.Contains(expected));
    }

    [Test]
    public void ReadDocuments_NoFile_NamesIt([Values("", ":lines")] string suffix)
    {
        string argument = Path.Combine(_folder, "none.txt") + suffix;
        Assert.That(() => CalibrationText.ReadDocuments([argument]), Throws.TypeOf<FileNotFoundException>().With.Message.StartsWith(argument));
    }

    // Llama-3 tokens of the whole files, from the README of the shared data.
    [TestCase("c4.utf8", 284_696)]
    [TestCase("wiki.utf8", 504_739)]
    [TestCase("tiny.utf8", 61_577)]
    [TestCase("technical.utf8", 71_600)]
    [TestCase("code.utf8", 361_941)]
    [TestCase("multilingual.utf8", 78_039)]
    public void ReadDocuments_SharedFile_HasTheKnownTokens(string name, int tokens)
    {
        Tokenizer tokenizer = SharedTokenizers.Load("tokenizers/llama3");
        IReadOnlyList<string> documents = CalibrationText.ReadDocuments([SharedData.Path($"text/calibration/{name}")]);
        Assert.That(tokenizer.Encode(documents.Single(), addSpecialTokens: false), Has.Length.EqualTo(tokens));
    }

    // Documents counted with grep -c.
    [TestCase("c4.utf8:lines", 584)]
    [TestCase("wiki.utf8:doc", 2349)]
    [TestCase("tiny.utf8:<|endoftext|>", 317)]
    public void ReadDocuments_SharedFile_HasTheKnownDocuments(string argument, int documents) =>
        Assert.That(CalibrationText.ReadDocuments([SharedData.Path($"text/calibration/{argument.Split(':')[0]}") + argument[argument.IndexOf(':')..]]), Has.Count.EqualTo(documents));

    private string Write(string name, string content)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, content);
        return path;
    }

    private string Compress(string name, byte[] content)
    {
        string path = Path.Combine(_folder, name + ".gz");
        using GZipStream stream = new(File.Create(path), CompressionLevel.Fastest);
        stream.Write(content);
        return path;
    }
}
