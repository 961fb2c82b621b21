using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Evaluation;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Models;
using FastKron.Native.Tokenizers;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation;

[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "NUnit calls FreeModel")]
public sealed class DivergenceMeasureTests
{
    private IBackend _backend = null!;
    private ModelFolder _folder = null!;
    private DecoderModel _model = null!;
    private EvaluationText _text = null!;

    [OneTimeSetUp]
    public void LoadModel()
    {
        _backend = Backends.Create("cpu");
        _folder = ModelFolder.Open(SharedData.Model("tiny-llama"));
        _model = DecoderModel.Load(_folder, _backend);
        Tokenizer tokenizer = Tokenizer.Load(_folder.Path);
        string words = string.Concat(Enumerable.Repeat("It was the best of times, it was the worst of times, it was the age of wisdom. ", 20));
        _text = new EvaluationText("words", "", tokenizer.Encode(words, addSpecialTokens: true));
    }

    [OneTimeTearDown]
    public void FreeModel()
    {
        _model.Dispose();
        _folder.Dispose();
        _backend.Dispose();
    }

    [Test]
    public void Compare_ModelWithItself_IsAtDistanceZero([Values] DivergenceProtocol protocol)
    {
        var measure = new DivergenceMeasure(_text, blockLength: 64, maxBlocks: 4, _model.Config.VocabularySize, protocol);
        using FinalStates states = measure.Read(_model);
        (PerplexitySummary before, PerplexitySummary after, DivergenceSummary divergence) = measure.Compare(_model, states, _model);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(divergence.Mean, Is.InRange(-1e-7, 1e-7));      // evaluation.md section 6
            Assert.That(divergence.Maximum, Is.LessThan(1e-6));
            Assert.That(divergence.TopAgreement, Is.EqualTo(1));
            Assert.That(divergence.TopFiveHit, Is.EqualTo(1));
            Assert.That(divergence.LogPerplexityRatio, Is.Zero);
            Assert.That(divergence.ProbabilityChangeQuantiles, Is.All.Zero);
            Assert.That(after.Perplexity, Is.EqualTo(before.Perplexity));
            Assert.That(divergence.Blocks, Has.Count.EqualTo(4));
            Assert.That(divergence.Protocol, Is.EqualTo(protocol == DivergenceProtocol.Yaqa ? "kl/yaqa" : "kl/block/64"));
        }
    }

    [Test]
    public void Compare_Perplexities_EqualThoseOfTheModelsAlone()
    {
        var measure = new DivergenceMeasure(_text, blockLength: 50, maxBlocks: null, _model.Config.VocabularySize);
        using FinalStates states = measure.Read(_model);
        PerplexitySummary compared = measure.Compare(_model, states, _model).Original, alone = PerplexityMeasure.OfBlocks(_text, 50, maxBlocks: null).Run(new SequenceScorer(_model));
        Assert.That(alone.Perplexity, Is.EqualTo(compared.Perplexity).Within(1e-4).Percent);       // two float32 reductions of the same row, other batches
        Assert.That(alone.Protocol, Is.EqualTo(compared.Protocol).And.EqualTo("block/words/50"));
        Assert.That(alone.Blocks, Has.Count.EqualTo(_text.Ids.Count / 50));
        Assert.That(alone.Perplexity, Is.InRange(1, 100), "a trained model on repeated English");
    }

    // Both models' logits straight from the definition; the original's blocks are freed in between, as where the two models do not fit together.
    [TestCase(DivergenceProtocol.Block, 36)]
    [TestCase(DivergenceProtocol.Yaqa, 40)]
    public void Compare_OriginalOfWhichOnlyTheHeadRemains_GivesTheDefinition(DivergenceProtocol protocol, int ids)
    {
        const int Length = 12, Blocks = 3, Real = 36;
        ModelConfig config = RandomModel.Config(ModelFamily.Llama);
        using DecoderModel original = RandomModel.Create(_backend, config), candidate = RandomModel.Create(_backend, config, headDeviation: 0.5f);
        var text = new EvaluationText("ids", "", RandomModel.Ids(Length * Blocks, Real, item: 9));
        double[][] p = Probabilities(original, text, Length, ids), q = Probabilities(candidate, text, Length, ids);
        int counted = protocol == DivergenceProtocol.Yaqa ? Length : Length - 1;
        double[] expected = [.. Enumerable.Range(0, Length * Blocks).Where(t => t % Length < counted).Select(t => p[t].Zip(q[t], (a, b) => a * Math.Log(a / b)).Sum())];
        double loss = Enumerable.Range(0, Length * Blocks).Where(t => t % Length < Length - 1).Average(t => -Math.Log(q[t][text.Ids[t + 1]]));

        var measure = new DivergenceMeasure(text, Length, maxBlocks: null, Real, protocol);
        using FinalStates states = measure.Read(original);
        original.ReleaseBlocks();
        (_, PerplexitySummary after, DivergenceSummary divergence) = measure.Compare(original, states, candidate);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(divergence.Mean, Is.EqualTo(expected.Average()).Within(1e-5));       // float32 probabilities
            Assert.That(divergence.Maximum, Is.EqualTo(expected.Max()).Within(1e-5));
            Assert.That(Math.Log(after.Perplexity), Is.EqualTo(loss).Within(1e-5));
        }
    }

    private static double[][] Probabilities(DecoderModel model, EvaluationText text, int length, int ids)
    {
        using PackedBatch batch = PackedBatch.Create(model.Backend, model.Config, [.. Enumerable.Range(0, text.Ids.Count / length).Select(b => text.Block(b, length))]);
        using Tensor hidden = model.Backend.Allocate(DType.F32, batch.Tokens, model.Config.HiddenSize), logits = model.Backend.Allocate(DType.F32, batch.Tokens, model.Config.VocabularySize);
        model.Forward(batch, hidden);
        model.Logits(hidden, logits);
        return [.. Enumerable.Range(0, batch.Tokens).Select(t =>
        {
            double[] e = [.. logits.Row<float>(t)[..ids].ToArray().Select(l => Math.Exp(l))];
            return e.Select(v => v / e.Sum()).ToArray();
        })];
    }
}
