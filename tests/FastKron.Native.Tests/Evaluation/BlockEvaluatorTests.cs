using FastKron.Native.Compute.Cpu;
using FastKron.Native.Evaluation;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tokenizers;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation;

[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "NUnit calls FreeModel")]
public sealed class BlockEvaluatorTests
{
    private CpuBackend _backend = null!;
    private ModelFolder _folder = null!;
    private DecoderModel _model = null!;
    private EvaluationText _text = null!;

    [OneTimeSetUp]
    public void LoadModel()
    {
        _backend = new CpuBackend();
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
    public void Compare_ModelWithItself_IsAtDistanceZero()
    {
        var evaluator = new BlockEvaluator(_text, blockLength: 64, maxBlocks: 4, _model.Config.VocabularySize);
        (PerplexitySummary before, PerplexitySummary after, DivergenceSummary divergence) = evaluator.Compare(_model, _model);
        Assert.That(divergence.Mean, Is.InRange(-1e-7, 1e-7));      // evaluation.md section 6
        Assert.That(divergence.Maximum, Is.LessThan(1e-6));
        Assert.That(divergence.TopAgreement, Is.EqualTo(1));
        Assert.That(divergence.TopFiveHit, Is.EqualTo(1));
        Assert.That(divergence.LogPerplexityRatio, Is.EqualTo(0));
        Assert.That(after.Perplexity, Is.EqualTo(before.Perplexity));
        Assert.That(divergence.Blocks, Has.Count.EqualTo(4));
    }

    [Test]
    public void Perplexity_OfOneModel_EqualsThatOfTheComparison()
    {
        var evaluator = new BlockEvaluator(_text, blockLength: 50, maxBlocks: null, _model.Config.VocabularySize);
        PerplexitySummary alone = evaluator.Perplexity(_model);
        PerplexitySummary compared = evaluator.Compare(_model, _model).Original;
        Assert.That(alone.Perplexity, Is.EqualTo(compared.Perplexity).Within(1e-5).Percent);       // two float32 reductions of the same row
        Assert.That(alone.Protocol, Is.EqualTo("block/words/50"));
        Assert.That(alone.Blocks, Has.Count.EqualTo(_text.Ids.Count / 50));
        Assert.That(alone.Perplexity, Is.InRange(1, 100), "a trained model on repeated English");
    }

    [Test]
    public void Constructor_TextShorterThanABlock_NamesBothNumbers()
        => Assert.That(
            () => new BlockEvaluator(new EvaluationText("short", "", [1, 2, 3]), 64, null, 2048),
            Throws.TypeOf<InvalidDataException>().With.Message.Contains("3 tokens").And.Message.Contains("block of 64"));
}
