using System.Text.RegularExpressions;
using FastKron.Native.Tokenizers;
using FsCheck;
using FsCheck.Fluent;
using NUnit.Framework;

namespace FastKron.Native.Tests.Tokenizers;

public sealed class PieceScannerTests
{
    // What the patterns tell apart, and what is easily confused with it. No long s: .NET's Regex does not fold it, Oniguruma does.
    private static readonly string[] Basic =
    [
        "a", "B", "é", "ß", "中", "한", "ʰ", "ǅ", "1", "٣", "½", "Ⅷ", "²", " ", "  ", "\u00A0", "\u2003", "\u3000", "\t", "\v", "\f", "\u0085", "\u2028", "\n", "\r", "\r\n",
        "'", "'s", "'S", "'t", "'RE", "'Ve", "'ll", "'lL", "'m", "'d", "’s", "K", ".", "!!", "_", "-", "\u0301", "\u093F", "\u200B", "\u001C", "\u180E", "\uE000", "\u0000", "€", "+",
    ];

    private static readonly string[] All = [.. Basic, "𝐀", "𠀀", "𝟙", "👍", "🇩", "\U0001D165", "\U000E0001", "\U0010FFFF", "\uD800", "\uDC00"];

    private static IEnumerable<TestCaseData> Scanners() =>
    [
        new TestCaseData(new Cl100kScanner(digits: 3), Cl100kScanner.ThreeDigits).SetArgDisplayNames("Llama-3"),
        new TestCaseData(new Cl100kScanner(digits: 1), Cl100kScanner.OneDigit).SetArgDisplayNames("Qwen"),
        new TestCaseData(new Gpt2Scanner(), Gpt2Scanner.Pattern).SetArgDisplayNames("GPT-2"),
        new TestCaseData(new DigitsScanner(individual: true), @"\p{N}|\P{N}+").SetArgDisplayNames("Digits individual"),
        new TestCaseData(new DigitsScanner(individual: false), @"\p{N}+|\P{N}+").SetArgDisplayNames("Digits"),
    ];

    [TestCaseSource(nameof(Scanners))]
    public void Split_BasicPlane_EqualsRegex(object scanner, string pattern)
    {
        Regex regex = new(pattern, RegexOptions.CultureInvariant);
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(4000), Prop.ForAll(Texts(Basic), text =>
            Ends((IPieceScanner)scanner, text).SequenceEqual(regex.Matches(text).Select(match => match.Index + match.Length))));
    }

    // Beyond the basic plane .NET's Regex sees surrogates; RegexScanner shows it stand-ins of the same category.
    [TestCaseSource(nameof(Scanners))]
    public void Split_AllPlanes_EqualsRegexScanner(object scanner, string pattern)
    {
        RegexScanner regex = new(pattern);
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(4000), Prop.ForAll(Texts(All), text =>
            Ends((IPieceScanner)scanner, text).SequenceEqual(Ends(regex, text))));
    }

    [TestCase("x'ſo", new[] { 1, 3, 4 })]
    [TestCase("'ſ", new[] { 2 })]
    public void Split_LongS_IsAContraction(string text, int[] ends) => Assert.That(Ends(new Cl100kScanner(3), text), Is.EqualTo(ends));

    [Test]
    public void Split_EveryUnit_IsOfTheKindThatRegexGives([Values(@"\p{L}", @"\p{N}", @"\s")] string set)
    {
        // One piece a match of the set, and one for what lies between.
        string units = new([.. Enumerable.Range(0, char.MaxValue + 1).Select(c => (char)c).Where(c => !char.IsSurrogate(c))]);
        Regex regex = new(set, RegexOptions.CultureInvariant);
        CharacterKind[] kinds = set switch
        {
            @"\p{L}" => [CharacterKind.Letter],
            @"\p{N}" => [CharacterKind.Number],
            _ => [CharacterKind.Space, CharacterKind.Newline],
        };
        int[] wrong = [.. Enumerable.Range(0, units.Length).Where(i => regex.IsMatch(units.AsSpan(i, 1)) != kinds.Contains(CharacterKinds.At(units, i, out _)))];
        Assert.That(wrong, Is.Empty);
    }

    [Test]
    public void Split_LongRuns_TakesLinearTime([Values("a", " ", "\n", "'", "1", " \n", "! ")] string unit)
    {
        string text = string.Concat(Enumerable.Repeat(unit, 1_000_000 / unit.Length));
        foreach (IPieceScanner scanner in new IPieceScanner[] { new Cl100kScanner(3), new Gpt2Scanner(), new DigitsScanner(individual: true) })
        {
            List<int> ends = [];
            long start = Environment.TickCount64;
            scanner.Split(text, ends);
            Assert.That(ends[^1], Is.EqualTo(text.Length));
            Assert.That(Environment.TickCount64 - start, Is.LessThan(3000), "milliseconds; 20 are usual, quadratic time takes minutes");
        }
    }

    [Test]
    public void RegexScanner_Gaps_ArePieces() =>
        Assert.That(Ends(new RegexScanner(@"\d+|\p{Lu}"), "ab12𝐀c𝟙"), Is.EqualTo(new[] { 2, 4, 6, 7, 9 }));     // ab 12 𝐀 (Lu) c 𝟙 (Nd)

    [TestCase(@"^a", "^")]
    [TestCase(@"a$", "$")]
    [TestCase(@"\bword", @"\b")]
    [TestCase(@"\w+", @"\w")]
    [TestCase(@"[a&&b]", "&&")]
    [TestCase(@"[[:alpha:]]", "[:")]
    [TestCase(@"(?<=a)b", "(?<")]
    [TestCase(@"a{,3}", "{")]
    [TestCase(@"\p{Han}", @"\p")]
    [TestCase(@"[一-龥]", "一")]
    [TestCase(@"\h", @"\h")]
    [TestCase(@"a\", @"\")]
    public void FindUnsupported_PartOfAnotherMeaning_IsNamed(string pattern, string part) => Assert.That(RegexScanner.FindUnsupported(pattern), Is.EqualTo(part));

    [TestCase(@"a++")]
    [TestCase(@"(a")]
    public void FindUnsupported_NoRegexForDotNet_IsNamed(string pattern) => Assert.That(RegexScanner.FindUnsupported(pattern), Is.Not.Null);

    [TestCase(Cl100kScanner.ThreeDigits)]
    [TestCase(Gpt2Scanner.Pattern)]
    [TestCase(@"[^\r\n\p{L}]?[\p{Lu}\p{M}]*|\s+(?=\S)|(?:a|b){1,3}?|[\]\-]")]
    public void FindUnsupported_UsualPattern_IsNull(string pattern) => Assert.That(RegexScanner.FindUnsupported(pattern), Is.Null);

    private static Arbitrary<string> Texts(string[] parts) => Gen.Elements(parts).ListOf().Select(string.Concat).ToArbitrary();

    private static List<int> Ends(IPieceScanner scanner, string text)
    {
        List<int> ends = [];
        scanner.Split(text, ends);
        return ends;
    }
}
