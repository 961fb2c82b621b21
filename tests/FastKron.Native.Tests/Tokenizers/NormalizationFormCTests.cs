using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Tokenizers;
using NUnit.Framework;

namespace FastKron.Native.Tests.Tokenizers;

public sealed class NormalizationFormCTests
{
    private static readonly (string Source, string FormC, string FormD)[] Cases =
        [.. Encoding.UTF8.GetString(GoldenFile.Read("normalization_cases.txt")).Split('\n')[..^1].Select(line => line.Split(';'))
            .Select(fields => (Text(fields[0]), Text(fields[1]), Text(fields[2])))];

    [Test]
    public void Apply_CasesOfTheUnicodeConsortium_GivesTheirForm()
    {
        Assert.That(Cases, Has.Length.EqualTo(400));
        Assert.Multiple(() =>
        {
            foreach ((string source, string formC, string formD) in Cases)
            {
                Assert.That(NormalizationFormC.Apply(source), Is.EqualTo(formC), source);
                Assert.That(NormalizationFormC.Apply(formC), Is.EqualTo(formC), source);
                Assert.That(NormalizationFormC.Apply(formD), Is.EqualTo(formC), source);
            }
        });
    }

    [Test]
    public void Apply_EveryCodePoint_HashesAsTheUnicodeConsortiumSays()
    {
        StringBuilder all = new();
        for (int point = 0; point <= 0x10FFFF; point++)
        {
            if (Rune.IsValid(point))
                all.Append(NormalizationFormC.Apply(new Rune(point).ToString())).Append('\n');
        }
        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(all.ToString())));
        Assert.That(hash, Is.EqualTo("9cc65524a9d8082bf10840c616cd199bd2ac12ee49a3381bd6fb7957711f342b"));
    }

    // Segments must not depend on what stands around them, as long as it neither changes nor joins.
    [Test]
    public void Apply_CasesInARow_NormalizesEach()
    {
        StringBuilder text = new(), expected = new();
        for (int i = 0; i < 5000; i++)
        {
            var (source, formC, formD) = Cases[(int)(Philox.Word(1, (ulong)i, RandomPurpose.Test, 0) % (uint)Cases.Length)];
            string between = (i % 4) switch { 0 => "x", 1 => "\n", 2 => "中文", _ => "😀" };
            text.Append(i % 3 == 0 ? source : formD).Append(between);
            expected.Append(formC).Append(between);
        }
        string actual = NormalizationFormC.Apply(text.ToString());
        Assert.That(actual, Is.EqualTo(expected.ToString()));
        Assert.That(NormalizationFormC.Apply(actual), Is.EqualTo(actual));
    }

    [Test]
    public void Apply_YoungerThanUnicode9_StaysInPlace() => Assert.That(NormalizationFormC.Apply("a\u1DF9\u0334"), Is.EqualTo("a\u1DF9\u0334"));     // U+1DF9 is of 10.0

    [Test]
    public void Apply_LoneSurrogate_DoesNotThrow()
    {
        Assert.That(NormalizationFormC.Apply("\uD800e\u0301"), Is.EqualTo("\uD800é"));
        Assert.That(NormalizationFormC.Apply("\uD800\u0301"), Is.EqualTo("\uFFFD\u0301"));
        Assert.That(NormalizationFormC.Apply("e\u0301\uDC00"), Is.EqualTo("é\uDC00"));
    }

    [Test]
    public void Apply_MegabyteOfMarks_TakesNoQuadraticTime()
    {
        string text = "a" + string.Concat(Enumerable.Repeat("\u0301\u0323", 250_000));
        long start = Environment.TickCount64;
        string actual = NormalizationFormC.Apply(text);
        Assert.That(actual, Does.StartWith("\u1EA1\u0323").And.EndWith("\u0301\u0301"));       // ạ, all dots below, then all acutes
        Assert.That(Environment.TickCount64 - start, Is.LessThan(10_000), "milliseconds; one second is usual");
    }

    private static string Text(string codes) => string.Concat(codes.Split(' ').Select(code => char.ConvertFromUtf32(Convert.ToInt32(code, 16))));
}
