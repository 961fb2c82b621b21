using FastKron.Native.Compute;
using FastKron.Native.Evaluation;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Models;
using FastKron.Native.Tokenizers;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation;

/// <summary>Every protocol against its definition; a model whose logits are all 0 has perplexity 2048 per token.</summary>
public sealed class PerplexityMeasureTests
{
    private static readonly ModelConfig Config = RandomModel.Config(ModelFamily.Llama, layers: 1) with { VocabularySize = 2048, MaxPositions = 512 };

    private static readonly EvaluationText Text = new("words", "", RandomModel.Ids(100, 2000, item: 3));

    [Test]
    public void OfBlocks_RandomModel_IsTheMeanLossOfEveryBlock()
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, Config);
        var scorer = new SequenceScorer(model);
        PerplexitySummary summary = PerplexityMeasure.OfBlocks(Text, 30, maxBlocks: null).Run(scorer);
        double second = -Score(scorer, [.. Text.Ids.Skip(30).Take(29)], [.. Text.Ids.Skip(31).Take(29)]) / 29;
        using (Assert.EnterMultipleScope())
        {
            Assert.That((summary.Protocol, summary.Window, summary.Blocks.Count), Is.EqualTo(("block/words/30", 30, 3)), "100 tokens: the tail is dropped");
            Assert.That(summary.Blocks[1], Is.EqualTo(second).Within(1e-5));         // float32 losses of about 8
            Assert.That(summary.Perplexity, Is.EqualTo(Math.Exp(summary.Blocks.Average())).Within(1e-9).Percent);
            Assert.That(summary.BitsPerByte, Is.Null);
        }
    }

    [Test]
    public void OfChunks_RandomModel_ScoresTheSecondHalfBehindABos()
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, Config);
        var scorer = new SequenceScorer(model);
        PerplexitySummary summary = PerplexityMeasure.OfChunks(Text, 16, maxBlocks: 2, bos: 5).Run(scorer);
        // Positions 8 … 14 of 16 predict tokens 9 … 15.
        double second = -Score(scorer, [5, .. Text.Ids.Skip(17).Take(14)], [.. Text.Ids.Skip(25).Take(7)]) / 7;
        using (Assert.EnterMultipleScope())
        {
            Assert.That((summary.Protocol, summary.Blocks.Count), Is.EqualTo(("gguf/16", 2)));
            Assert.That(summary.Blocks[1], Is.EqualTo(second).Within(1e-5));
            Assert.That(() => PerplexityMeasure.OfChunks(Text, 51, null, null), Throws.TypeOf<InvalidDataException>().With.Message.Contains("at least two chunks of 51"));
        }
    }

    [TestCase(6)]
    [TestCase(512)]
    public void OfPages_AnyWindow_PredictsEveryTokenOnceFromUpToAWindow(int window)
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, Config);
        Tokenizer tokenizer = Tokenizer.Load(SharedData.Model("tiny-llama"));
        const string Page = " = One = \n The cat sat on the mat , and the dog barked . \n";
        var scorer = new SequenceScorer(model);
        PerplexitySummary one = PerplexityMeasure.OfPages("pages", Page, tokenizer, window, maxPages: null, startToken: 1).Run(scorer);
        PerplexitySummary two = PerplexityMeasure.OfPages("pages", Page + " = Two = \n It rained . \n", tokenizer, window, maxPages: null, startToken: 1).Run(scorer);

        // The definition, token by token: token t is predicted from the start token and all before it while they fit the first window; the last of a later window sees all of it.
        double Loss(string page)
        {
            int[] ids = tokenizer.Encode(WikiTextPages.Detokenize(page), addSpecialTokens: false), all = [1, .. ids];
            return -Enumerable.Range(0, ids.Length).Sum(t =>
            {
                int done = t / window * window, end = Math.Min(done + window, ids.Length), begin = done == 0 ? 0 : end - window;
                return Score(scorer, all[begin..(t + 1)], [ids[t]]);
            });
        }
        double first = Loss(Page), second = Loss(Page[..^1]) + Loss(" = Two = \n It rained . \n");      // only the last page keeps its line feed
        int words = WikiTextPages.CountWords(Page);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Math.Log(one.Perplexity), Is.EqualTo(first / words).Within(1e-4));       // float32 losses of about 8, summed
            Assert.That(one.BitsPerByte, Is.EqualTo(first / Page.Length / Math.Log(2)).Within(1e-4));
            Assert.That(one.BytePerplexity, Is.EqualTo(Math.Pow(2, one.BitsPerByte!.Value)).Within(1e-9));
            Assert.That(Math.Log(two.Perplexity), Is.EqualTo(second / (words + WikiTextPages.CountWords(" = Two = \n It rained . \n"))).Within(1e-4), "a ratio of sums, not a mean of pages");
            Assert.That(two.Blocks.Average(), Is.EqualTo(Math.Log(two.Perplexity)).Within(1e-12));
        }
    }

    [Test]
    public void Run_ConstantLogits_GivesTheVocabularyPerToken()
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, Config, headDeviation: 0);
        using (Assert.EnterMultipleScope())
        {
            foreach (PerplexityMeasure measure in new[] { PerplexityMeasure.OfBlocks(Text, 30, null), PerplexityMeasure.OfChunks(Text, 16, null, null) })
                Assert.That(measure.Run(new SequenceScorer(model)).Perplexity, Is.EqualTo(2048).Within(0.01));      // float32 logarithm of 2048
            Assert.That(PerplexityMeasure.OfBlocks(Text, 30, null).Run(new SequenceScorer(model, vocabulary: 2000)).Perplexity, Is.EqualTo(2000).Within(0.01), "only the counted ids");
        }
    }

    [Test]
    public void OfBlocks_C4_DrawsPythonsDocumentsAndPlaces()
    {
        Tokenizer tokenizer = Tokenizer.Load(SharedData.Model("tiny-llama"));
        string[] documents = ["short", .. Enumerable.Range(0, 4).Select(d => $"Document number {d} tells of the old man and of the sea, of ships and of the long road home.")];
        string text = string.Concat(documents.Select(d => $$"""{"text": "{{d}}", "url": "none"}""" + "\n"));
        EvaluationText drawn = C4Sample.Draw("c4.json", text, "hash", tokenizer, length: 10, maxBlocks: 3);
        var random = new PythonRandom(0);
        var expected = new List<int>();
        while (expected.Count < 30)
        {
            int[] ids = tokenizer.Encode(documents[random.Between(0, 4)], addSpecialTokens: true);
            if (ids.Length <= 10)
                continue;
            int start = random.Between(0, ids.Length - 11);
            expected.AddRange(ids[start..(start + 10)]);
        }
        Assert.That(drawn.Ids, Is.EqualTo(expected));
        Assert.That(drawn.Name, Is.EqualTo("c4"));
        Assert.That(() => C4Sample.Draw("c4.json", text, "hash", tokenizer, length: 400, null), Throws.TypeOf<InvalidDataException>().With.Message.Contains("none of 5 documents has more than 400 tokens"));
        Assert.That(() => C4Sample.Draw("c4.json", "{}\n", "hash", tokenizer, length: 4, null), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith("c4.json: line 1: text:"));
    }

    private static double Score(SequenceScorer scorer, int[] input, int[] targets) => scorer.Score([[new ScoredSequence(input, targets)]])[0][0].LogLikelihood;
}
