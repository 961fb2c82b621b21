using FastKron.Native.Evaluation;
using FastKron.Native.Evaluation.Tasks;
using FastKron.Native.Tests.Tokenizers;
using FastKron.Native.Tokenizers;
using NUnit.Framework;

namespace FastKron.Native.Tests.Evaluation.Tasks;

public sealed class ChoiceEncoderTests
{
    // evaluation.md section 9.
    private const string Question = "Question: Which piece of safety equipment is used to keep mold spores from entering the respiratory system?\nAnswer:";

    private static readonly Lazy<Tokenizer> TinyLlama = new(() => Tokenizer.Load(SharedData.Model("tiny-llama")));

    [TestCase("llama3", 22, new[] { 7296, 95090 }, 912, 10035)]
    [TestCase("qwen3", 22, new[] { 7149, 93990 }, 902, 9834)]
    public void Encode_PublishedQuestion_SplitsAtThePublishedIds(string name, int contextTokens, int[] goggles, int no, int yes)
    {
        var encoder = new ChoiceEncoder(SharedTokenizers.Load($"tokenizers/{name}"), BosMode.None, startToken: 0, maxPositions: 4096);
        using (Assert.EnterMultipleScope())
        {
            foreach ((string choice, int[] ids) in new[] { (" safety goggles", goggles), (" no", [no]), (" yes", [yes]) })
            {
                ScoredSequence sequence = encoder.Encode(new TaskChoice(Question, choice), out _);
                Assert.That(sequence.Targets, Is.EqualTo(ids));
                Assert.That(sequence.Input, Has.Length.EqualTo(contextTokens + ids.Length - 1));
            }
        }
    }

    [Test]
    public void Encode_BosModes_DifferByOneTokenForLlama3AndNotForQwen3()
    {
        foreach ((string name, int added) in new[] { ("llama3", 1), ("qwen3", 0) })
        {
            Tokenizer tokenizer = SharedTokenizers.Load($"tokenizers/{name}");
            int[] without = new ChoiceEncoder(tokenizer, BosMode.None, 0, 4096).Encode(new TaskChoice("A", " b"), out _).Input;
            ScoredSequence with = new ChoiceEncoder(tokenizer, BosMode.Tokenizer, 0, 4096).Encode(new TaskChoice("A", " b"), out _);
            Assert.That(with.Input, Is.EqualTo(added == 1 ? [tokenizer.BosId!.Value, .. without] : without));
            Assert.That(with.Targets, Has.Length.EqualTo(1));
            if (added == 1)
                Assert.That(new ChoiceEncoder(tokenizer, BosMode.Tokenizer, 0, 4096).Encode(new TaskChoice("<|begin_of_text|>A", " b"), out _).Input, Is.EqualTo(with.Input), "a BOS in the text is not doubled");
        }
    }

    [Test]
    public void Encode_SpaceAtTheEndOfTheContext_BelongsToTheContinuation()
    {
        var encoder = new ChoiceEncoder(TinyLlama.Value, BosMode.None, 0, 512);
        ScoredSequence moved = encoder.Encode(new TaskChoice("The old man ", "walked"), out _), plain = encoder.Encode(new TaskChoice("The old man", " walked"), out _);
        Assert.That(moved.Input, Is.EqualTo(plain.Input));
        Assert.That(moved.Targets, Is.EqualTo(plain.Targets));
    }

    [Test]
    public void Encode_EmptyContext_BeginsWithTheStartToken()
    {
        int[] walked = TinyLlama.Value.Encode(" walked home", addSpecialTokens: false);
        ScoredSequence none = new ChoiceEncoder(TinyLlama.Value, BosMode.None, startToken: 0, 512).Encode(new TaskChoice("", " walked home"), out _);
        ScoredSequence own = new ChoiceEncoder(TinyLlama.Value, BosMode.Tokenizer, startToken: 0, 512).Encode(new TaskChoice(" ", "walked home"), out _);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(none.Input, Is.EqualTo((int[])[0, .. walked[..^1]]));
            Assert.That(none.Targets, Is.EqualTo(walked));
            Assert.That(own.Input, Is.EqualTo(none.Input), "this tokenizer adds nothing by itself");
            Assert.That(own.Targets, Is.EqualTo(walked));
        }
    }

    [Test]
    public void Encode_TooLongContext_IsCutAtTheLeft()
    {
        var whole = new ChoiceEncoder(TinyLlama.Value, BosMode.None, 0, 512);
        TaskChoice choice = new("It was the best of times, it was the worst of times", " and so on");
        ScoredSequence expected = whole.Encode(choice, out bool truncated), cut = new ChoiceEncoder(TinyLlama.Value, BosMode.None, 0, 8).Encode(choice, out bool cutTruncated);
        using (Assert.EnterMultipleScope())
        {
            Assert.That((truncated, cutTruncated), Is.EqualTo((false, true)));
            Assert.That(cut.Input, Is.EqualTo(expected.Input[^8..]));
            Assert.That(cut.Targets, Is.EqualTo(expected.Targets));
            Assert.That(() => new ChoiceEncoder(TinyLlama.Value, BosMode.None, 0, 1).Encode(choice, out _), Throws.TypeOf<InvalidDataException>().With.Message.Contains("exceeds the model's context of 1"));
        }
    }
}
