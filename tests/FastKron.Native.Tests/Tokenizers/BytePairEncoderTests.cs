using System.Text;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Tokenizers;
using FsCheck;
using FsCheck.Fluent;
using NUnit.Framework;

namespace FastKron.Native.Tests.Tokenizers;

public sealed class BytePairEncoderTests
{
    private static readonly TokenizerDefinition Definition = TokenizerReader.ReadDefinition(Path.Combine(SharedData.Model("tiny-llama"), "tokenizer.json"));

    // One piece of letters, so that all of it is merged together; up to 64 symbols the encoder scans, above it keeps a heap.
    [Test]
    public void Append_OnePiece_MergesAsTheDefinitionSays([Values(1, 2, 3, 17, 63, 64, 65, 130, 600)] int length)
    {
        BytePairEncoder encoder = new(Definition);
        for (uint item = 0; item < 40; item++)
        {
            string piece = string.Concat(Enumerable.Range(0, length).Select(i =>
                "etaoinshrdlu"[(int)(Philox.Word((ulong)length, (ulong)i, RandomPurpose.Test, item) % 12)]));
            encoder.Ids.Clear();
            encoder.Append(piece);
            Assert.That(encoder.Ids, Is.EqualTo(Merge(piece)), piece);
        }
    }

    [Test]
    public void Append_AnyText_EqualsItsPiecesMergedByDefinition()
    {
        BytePairEncoder encoder = new(Definition);
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(1000), Prop.ForAll(ArbMap.Default.ArbFor<string?>(), text =>
        {
            string valid = text ?? "";
            List<int> ends = [];
            new Gpt2Scanner().Split(valid, ends);
            List<int> expected = [];
            int start = 0;
            foreach (int end in ends)
            {
                expected.AddRange(Merge(valid[start..end]));
                start = end;
            }
            encoder.Ids.Clear();
            encoder.Append(valid);
            return encoder.Ids.SequenceEqual(expected);
        }));
    }

    [Test]
    public void Append_MoreDistinctPiecesThanTheCacheHolds_StaysRight()
    {
        BytePairEncoder encoder = new(Definition);
        string[] pieces = [.. Enumerable.Range(0, 70_000).Select(i => string.Concat(" ", Convert.ToHexStringLower(BitConverter.GetBytes(i)).Replace('0', 'x').Replace('1', 'y')))];
        encoder.Append(string.Concat(pieces));
        encoder.Ids.Clear();
        for (int i = 0; i < pieces.Length; i += 997)
        {
            encoder.Ids.Clear();
            encoder.Append(pieces[i]);
            BytePairEncoder fresh = new(Definition);
            fresh.Append(pieces[i]);
            Assert.That(encoder.Ids, Is.EqualTo(fresh.Ids), pieces[i]);
        }
    }

    // 1 MB in one piece: quadratic time would take hours.
    [Test]
    public void Append_MegabyteInOnePiece_TakesNoQuadraticTime([Values] bool random)
    {
        string piece = string.Create(1 << 20, random, (span, mixed) =>
        {
            for (int i = 0; i < span.Length; i++)
                span[i] = mixed ? "etao"[(int)(Philox.Word(3, (ulong)i, RandomPurpose.Test, 0) & 3)] : 'a';
        });
        BytePairEncoder encoder = new(Definition);
        long start = Environment.TickCount64;
        encoder.Append(piece);
        long elapsed = Environment.TickCount64 - start;
        StringBuilder text = new();
        foreach (int id in encoder.Ids)
            text.Append(Encoding.UTF8.GetString(Definition.Tokens[id]));
        Assert.That(text.ToString(), Is.EqualTo(piece));
        Assert.That(elapsed, Is.LessThan(20_000), "milliseconds; one second is usual");
    }

    // The definition: as long as a rule fits, apply the earliest one at its leftmost place.
    private static List<int> Merge(string piece)
    {
        List<int> symbols = [.. Encoding.UTF8.GetBytes(piece).Select(value => Definition.Tokens.Find([value]))];
        while (true)
        {
            long best = MergeTable.None;
            int place = -1;
            for (int i = 0; i + 1 < symbols.Count; i++)
            {
                long rule = Definition.Merges.Find(symbols[i], symbols[i + 1]);
                if (rule < best)
                    (best, place) = (rule, i);
            }
            if (place < 0)
                return symbols;
            symbols[place] = (int)best;
            symbols.RemoveAt(place + 1);
        }
    }
}
