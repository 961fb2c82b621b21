using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Evaluation;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Models;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation;

public sealed class SequenceScorerTests
{
    [Test]
    public void Score_TwoTargets_SumsTheLogProbabilitiesOfTheirPositions([Values] ModelFamily family)
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, RandomModel.Config(family));
        int[] input = [3, 1, 4, 1, 5];
        float[][] logits = Logits(model, input);
        SequenceScore[][] scores = new SequenceScorer(model).Score([[new ScoredSequence(input, [7, 9])], [new ScoredSequence(input, [Top(logits[3]), Top(logits[4])])]], greedy: true);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(scores[0][0].LogLikelihood, Is.EqualTo(LogProbability(logits[3], 7) + LogProbability(logits[4], 9)).Within(1e-5));    // float32 losses of about 4
            Assert.That(scores[0][0].IsGreedy, Is.False);
            Assert.That(scores[1][0].IsGreedy, Is.True);
        }
    }

    // tiny-llama on each backend. bf16 products differ in their last bit with the tiles' shapes: a few 1e-3 of a logit, so 0.05 on a sum of five; float32 keeps 1e-3.
    [TestCaseSource(typeof(Backends), nameof(Backends.Names))]
    public void Score_GroupsAndBatches_ChangeNothing(string name)
    {
        using IBackend backend = Backends.Create(name);
        using ModelFolder folder = ModelFolder.Open(SharedData.Model("tiny-llama"));
        using DecoderModel model = DecoderModel.Load(folder, backend);
        double tolerance = backend.ActivationType == DType.F32 ? 1e-3 : 0.05;
        ScoredSequence[][] groups =
        [
            .. Enumerable.Range(0, 7).Select(g =>
            {
                int[] context = RandomModel.Ids(20 + 13 * g, 2048, item: (uint)g);
                return Enumerable.Range(0, 4).Select(c =>
                {
                    int[] choice = RandomModel.Ids(1 + (c + g) % 5, 2048, item: (uint)(100 + 10 * g + c));
                    return new ScoredSequence([.. context, .. choice[..^1]], choice);
                }).ToArray();
            }),
        ];
        SequenceScore[][] together = new SequenceScorer(model).Score(groups), small = new SequenceScorer(model, batchTokens: 100).Score(groups);
        SequenceScore[][] alone = new SequenceScorer(model, batchTokens: 1).Score([.. groups.SelectMany(g => g).Select(s => new[] { s })]);
        SequenceScore[][] reversed = new SequenceScorer(model).Score([.. groups.Reverse()]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Values(small), Is.EqualTo(Values(together)).Within(tolerance));
            Assert.That(Values(alone), Is.EqualTo(Values(together)).Within(tolerance));
            Assert.That(Values([.. reversed.Reverse()]), Is.EqualTo(Values(together)).Within(tolerance));
        }
    }

    [Test]
    public void Score_Progress_EndsAtOne()
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, RandomModel.Config(ModelFamily.Llama));
        var seen = new List<double>();
        new SequenceScorer(model, batchTokens: 4).Score([[new([1, 2], [3])], [new([1, 2, 4], [3])]], progress: new Recorder(seen));
        Assert.That(seen, Is.EqualTo([0.6, 1.0]).Within(1e-12), "longest first");
    }

    private static double[] Values(SequenceScore[][] scores) => [.. scores.SelectMany(s => s).Select(s => s.LogLikelihood)];

    private static float[][] Logits(DecoderModel model, int[] input)
    {
        using PackedBatch batch = PackedBatch.Create(model.Backend, model.Config, [input]);
        using Tensor hidden = model.Backend.Allocate(DType.F32, input.Length, model.Config.HiddenSize), logits = model.Backend.Allocate(DType.F32, input.Length, model.Config.VocabularySize);
        model.Forward(batch, hidden);
        model.Logits(hidden, logits);
        return [.. Enumerable.Range(0, input.Length).Select(t => logits.Row<float>(t).ToArray())];
    }

    private static double LogProbability(float[] logits, int id) => logits[id] - Math.Log(logits.Sum(l => Math.Exp(l)));

    private static int Top(float[] logits) => Array.IndexOf(logits, logits.Max());

    private sealed class Recorder(List<double> seen) : IProgress<double>
    {
        public void Report(double value) => seen.Add(value);
    }
}
