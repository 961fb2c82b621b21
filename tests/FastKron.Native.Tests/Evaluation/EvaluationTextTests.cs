using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Evaluation;
using FastKron.Native.Tokenizers;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation;

public sealed class EvaluationTextTests
{
    [Test]
    public void JoinRows_BlankAndFullRows_KeepTheirNewlinesAndGetTwoBetween()
        => Assert.That(EvaluationText.JoinRows(" \n = Title = \n \nText\n"), Is.EqualTo("\n\n = Title = \n\n\n\n\nText\n"));

    // Figures of evaluation.md section 9.
    [Test]
    public void JoinRows_WikiTextValidation_HasThePublishedHash()
    {
        byte[] joined = Encoding.UTF8.GetBytes(EvaluationText.JoinRows(File.ReadAllText(SharedData.Path("text/wikitext2/wiki.valid.raw"))));
        Assert.That(joined, Has.Length.EqualTo(1_151_766));
        Assert.That(Convert.ToHexStringLower(SHA256.HashData(joined)), Is.EqualTo("b44fb967f92b525731216a507d1fbc44b97446b7ef0a2b4d1a893f81f1bbc29e"));
    }

    [Test]
    public void Read_FileThatIsNotUtf8_NamesPathAndByte()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, [(byte)'a', 0xFF, (byte)'b']);
            Tokenizer tokenizer = Tokenizer.Load(SharedData.Model("tiny-llama"));
            Assert.That(() => EvaluationText.Read(path, tokenizer), Throws.TypeOf<InvalidDataException>().With.Message.Contains(path).And.Message.Contains("byte 1"));
        }
        finally
        {
            File.Delete(path);
        }
    }
}
