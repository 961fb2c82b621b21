using FastKron.Native.Calibration;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Models;
using NUnit.Framework;

namespace FastKron.Native.Tests.Calibration;

public sealed class SelfCalibrationTests
{
    [TestCase(1000, 32, 32)]
    [TestCase(2400, 32, 75)]     // more than one group
    [TestCase(20, 32, 1)]
    public void Sample_AnyLength_GivesExactlyTheTokensInSequencesThatStartRight(int tokens, int context, int count)
    {
        using var problem = new Problem(bos: 0, eos: 1);
        (IReadOnlyList<int[]> sequences, _) = SelfCalibration.Sample(problem.Model, tokens, context, seed: 7);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(sequences.Sum(s => s.Length), Is.EqualTo(tokens));
            Assert.That(sequences, Has.Count.EqualTo(count));
            Assert.That(sequences.SkipLast(1).Select(s => s.Length), Has.All.EqualTo(context));
            Assert.That(sequences.Select(s => s[0]), Has.All.Zero);
        }
    }

    [Test]
    public void Sample_Seed_DecidesTheText()
    {
        using var problem = new Problem(bos: 0, eos: 1);
        IReadOnlyList<int[]> first = SelfCalibration.Sample(problem.Model, 500, 20, seed: 7).Sequences;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(SelfCalibration.Sample(problem.Model, 500, 20, seed: 7).Sequences, Is.EqualTo(first));
            Assert.That(SelfCalibration.Sample(problem.Model, 500, 20, seed: 8).Sequences, Is.Not.EqualTo(first));
        }
    }

    [TestCase(0, 1)]
    [TestCase(null, 1)]
    [TestCase(1, 1)]
    public void Sample_EndToken_BeginsTheNextDocument(int? bos, int eos)
    {
        using var problem = new Problem(bos, eos);
        (IReadOnlyList<int[]> sequences, int documents) = SelfCalibration.Sample(problem.Model, 64 * 60, 60, seed: 9);
        int ends = 0;
        foreach (int[] sequence in sequences)
        {
            Assert.That(sequence[0], Is.EqualTo(bos ?? eos));
            for (int i = 1; i + 1 < sequence.Length; i++)
            {
                if (sequence[i] != eos)
                    continue;
                ends++;
                if (bos == 0)
                    Assert.That(sequence[i + 1], Is.Zero, "BOS after EOS");
            }
        }
        Assert.That(ends, Is.GreaterThan(20));   // 3,800 draws of one id in 40
        Assert.That(documents, Is.EqualTo(64 + ends));
    }

    // The tokens are the draws of SampleLabels on the logits of the whole sequence: what the cache and the lanes do must not matter.
    [Test]
    public void Sample_EveryToken_IsDrawnFromTheModelsDistribution()
    {
        const int Context = 12;
        using var problem = new Problem(bos: 0, eos: 1);
        IReadOnlyList<int[]> sequences = SelfCalibration.Sample(problem.Model, 3 * Context, Context, seed: 11).Sequences;
        using PackedBatch batch = PackedBatch.Create(problem.Backend, problem.Model.Config, [.. sequences]);
        using Tensor hidden = problem.Backend.Allocate(DType.F32, batch.Tokens, problem.Model.Config.HiddenSize);
        using Tensor logits = problem.Backend.Allocate(DType.F32, batch.Tokens, problem.Model.Config.VocabularySize);
        using Tensor label = problem.Backend.Allocate(DType.I32, 1, 1);
        problem.Model.Forward(batch, hidden);
        problem.Model.Logits(hidden, logits);
        for (int lane = 0; lane < 3; lane++)
        {
            for (int position = 0; position + 1 < Context; position++)
            {
                if (sequences[lane][position] == 1)
                    continue;   // a BOS follows
                uint item = (uint)(position * SelfCalibration.Lanes + lane);
                problem.Backend.SampleLabels(logits.SliceRows(lane * Context + position, 1), 11, RandomPurpose.Calibration, item, label);
                Assert.That(sequences[lane][position + 1], Is.EqualTo(label.AsSpan<int>()[0]), $"sequence {lane}, position {position + 1}");
            }
        }
    }

    [Test]
    public void Sample_NoStartToken_SaysWhatToDo()
    {
        using var problem = new Problem(bos: null, eos: null);
        Assert.That(() => SelfCalibration.Sample(problem.Model, 10, 10, seed: 1), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("give calibration files"));
    }

    private sealed class Problem : IDisposable
    {
        public Problem(int? bos, int? eos)
        {
            Backend = Backends.Create("cpu");
            Model = RandomModel.Create(Backend, RandomModel.Config(ModelFamily.Llama) with { BosToken = bos, EosTokens = eos is { } id ? [id] : [] });
        }

        public IBackend Backend { get; }

        public DecoderModel Model { get; }

        public void Dispose()
        {
            Model.Dispose();
            Backend.Dispose();
        }
    }
}
