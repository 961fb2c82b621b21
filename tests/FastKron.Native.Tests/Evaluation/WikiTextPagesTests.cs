using System.Text;
using FastKron.Native.Evaluation;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation;

public sealed class WikiTextPagesTests
{
    [Test]
    public void Split_Headings_OpenAPageOnlyAtTheTopLevel()
        => Assert.That(WikiTextPages.Split(" \n = One = \n text \n = = Part = = \n more \n = = = Deep = = = \n = Two = \n"), Is.EqualTo([
            " = One = \n text \n = = Part = = \n more \n = = = Deep = = = ", " = Two = \n",
        ]), "what stands before the first heading is blank, so no page");

    [TestCase("the players ' names", "the players' names")]
    [TestCase("a well @-@ known 1 @,@ 000 and 2 @.@ 5", "a well-known 1,000 and 2.5")]
    [TestCase("so : one ; two . three ! four ? five , six", "so: one; two. three! four? five, six")]
    [TestCase("( a b ) [ c ] { d } \" e f \" ' g '", "(a b) [c] {d} \"e f\" 'g'")]
    [TestCase("= = = = x = = = y = = z", "==== x === y == z")]
    [TestCase("5 ° C and N for one \n next \n it 's", "5°C and 1 for one\nnext\nit's")]
    public void Detokenize_Rules_UndoTheTokenizer(string tokenized, string expected) => Assert.That(WikiTextPages.Detokenize(tokenized), Is.EqualTo(expected));

    [TestCase("a b", 2)]
    [TestCase(" a  b \n", 4)]
    public void CountWords_WhiteSpaceAtTheEnds_CountsEmptyPieces(string page, int words) => Assert.That(WikiTextPages.CountWords(page), Is.EqualTo(words));

    // Figures of evaluation.md section 9.
    [Test]
    public void Split_WikiTextValidation_HasTheKnownFigures()
    {
        IReadOnlyList<string> pages = WikiTextPages.Split(File.ReadAllText(SharedData.Path("text/wikitext2/wiki.valid.raw")));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(pages, Has.Count.EqualTo(60));
            Assert.That(pages.Sum(WikiTextPages.CountWords), Is.EqualTo(214_006));
            Assert.That(pages.Sum(Encoding.UTF8.GetByteCount), Is.EqualTo(1_146_785));
            Assert.That(pages.Sum(p => Encoding.UTF8.GetByteCount(WikiTextPages.Detokenize(p))), Is.EqualTo(1_103_504));
        }
    }
}
