using FastKron.Native.Calibration;
using FastKron.Native.Tests.Tokenizers;
using FastKron.Native.Tokenizers;
using FsCheck;
using FsCheck.Fluent;
using NUnit.Framework;

namespace FastKron.Native.Tests.Calibration;

public sealed class CalibrationPackerTests
{
    private static readonly Tokenizer Tiny = Tokenizer.Load(SharedData.Model("tiny-llama"));

    // Document i is the letter i, repeated with spaces: one token each.
    private static string[] Documents(params int[] lengths) =>
        [.. lengths.Select((length, i) => string.Concat(Enumerable.Repeat(i % 2 == 0 ? " a" : " I", length)))];

    [Test]
    public void Pack_AllThereIs_CutsEachDocumentIntoConsecutivePieces()
    {
        string[] documents = Documents(10, 3, 1, 9, 8);
        CalibrationSet set = CalibrationPacker.Pack(Tiny, documents, "source", context: 4, tokens: 1000, seed: 5, allowFewer: true);
        List<int[]> expected = [];
        foreach (int document in CalibrationPacker.Shuffle(documents.Length, 5))
            expected.AddRange(Tiny.Encode(documents[document]).Chunk(4).Where(piece => piece.Length > 1));
        Assert.That(set.Sequences, Is.EqualTo(expected));
        Assert.That((set.Tokens, set.Documents, set.Source), Is.EqualTo((10 + 3 + 8 + 8L, 4, "source")));   // one token of the 9 and the document of 1 are dropped
    }

    [Test]
    public void Pack_TokenizerWithBos_GivesEachDocumentItsBos()
    {
        Tokenizer tokenizer = SharedTokenizers.Load("tokenizers/llama3");
        CalibrationSet set = CalibrationPacker.Pack(tokenizer, ["one two three four five", "six seven eight nine ten"], "", context: 3, tokens: 100, seed: 1, allowFewer: true);
        Assert.That(set.Sequences.Select(s => s[0] == tokenizer.BosId), Is.EqualTo(new[] { true, false, true, false }));
    }

    [Test]
    public void Pack_AnyDocuments_ReachesTheWantedNumberExactly()
    {
        Gen<(int[] Lengths, int Context)> inputs = from lengths in Gen.Choose(3, 40).NonEmptyListOf()
                                                   from context in Gen.Choose(3, 12)
                                                   select (lengths.ToArray(), context);
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(500), Prop.ForAll(inputs.ToArbitrary(), input =>
        {
            CalibrationSet all = CalibrationPacker.Pack(Tiny, Documents(input.Lengths), "", input.Context, tokens: 1 << 20, seed: 3, allowFewer: true);
            for (long tokens = 2; tokens <= all.Tokens - input.Context; tokens++)
            {
                CalibrationSet set = CalibrationPacker.Pack(Tiny, Documents(input.Lengths), "", input.Context, tokens, seed: 3);
                if (set.Tokens != tokens || set.Sequences.Any(s => s.Length < 2 || s.Length > input.Context))
                    return false;
            }
            return true;
        }));
    }

    [Test]
    public void Pack_OtherSeed_TakesOtherDocuments()
    {
        string[] documents = [.. Enumerable.Range(0, 50).Select(i => $"document number {i} with its own text")];
        CalibrationSet Pack(ulong seed) => CalibrationPacker.Pack(Tiny, documents, "", context: 64, tokens: 60, seed);
        Assert.That(Pack(1).Hash, Is.EqualTo(Pack(1).Hash));
        Assert.That(Pack(1).Hash, Is.Not.EqualTo(Pack(2).Hash));
    }

    [Test]
    public void Pack_TooFewTokens_SaysHowManyAndTheCure()
    {
        Assert.That(() => CalibrationPacker.Pack(Tiny, Documents(5, 6), "c4.txt", context: 8, tokens: 1000, seed: 0),
            Throws.TypeOf<InvalidDataException>().With.Message.StartsWith("c4.txt: found 11 ").And.Message.Contains("expected 1,000; give more text"));
        Assert.That(() => CalibrationPacker.Pack(Tiny, Documents(1, 1), "c4.txt", context: 8, tokens: 2, seed: 0, allowFewer: true), Throws.TypeOf<InvalidDataException>());
        Assert.That(() => CalibrationPacker.Pack(Tiny, [], "c4.txt", context: 8, tokens: 2, seed: 0, allowFewer: true), Throws.TypeOf<InvalidDataException>());
    }

    [TestCase(1, 10)]
    [TestCase(8, 1)]
    public void Pack_ContextOrTokensBelowTwo_Throws(int context, int tokens) =>
        Assert.That(() => CalibrationPacker.Pack(Tiny, Documents(5), "", context, tokens, seed: 0), Throws.TypeOf<ArgumentOutOfRangeException>());

    [Test]
    public void Pack_Cancelled_Stops() =>
        Assert.That(() => CalibrationPacker.Pack(Tiny, Documents(5), "", 8, 4, seed: 0, cancellationToken: new CancellationToken(canceled: true)),
            Throws.InstanceOf<OperationCanceledException>());

    [Test]
    public void Shuffle_AnyCount_IsAPermutationFixedForAllTime([Values(0, 1, 2, 1000)] int count) =>
        Assert.That(CalibrationPacker.Shuffle(count, 7).Order(), Is.EqualTo(Enumerable.Range(0, count)));

    [Test]
    public void Shuffle_ManySeeds_PutsEachItemEverywhereEquallyOften()
    {
        int[,] counts = new int[5, 5];
        for (ulong seed = 0; seed < 5000; seed++)
        {
            int[] order = CalibrationPacker.Shuffle(5, seed);
            for (int place = 0; place < 5; place++)
                counts[place, order[place]]++;
        }
        // 1000 expected, standard deviation √(5000 · 0.2 · 0.8) = 28; fixed seeds, so five deviations are no luck.
        Assert.That(counts.Cast<int>(), Is.All.InRange(860, 1140));
    }
}
