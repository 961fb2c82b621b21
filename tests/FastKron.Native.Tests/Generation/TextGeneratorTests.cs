using System.Text.Json;
using FastKron.Native.Compute;
using FastKron.Native.Formats;
using FastKron.Native.Generation;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using FastKron.Native.Tests.Models;
using NUnit.Framework;

namespace FastKron.Native.Tests.Generation;

public sealed class TextGeneratorTests
{
    [TestCase("tiny_llama3_mlxd", "golden.json", "cases", "greedy8")]
    [TestCase("tiny_qwen3_mlxd", "golden.json", "cases", "greedy8")]
    [TestCase("tiny_random_llama2", "corpus.json", "model_cases", "greedy_continuation")]
    public void Generate_GreedyGoldens_GivesTheSameTokens(string name, string file, string casesName, string expectedName)
    {
        using var model = new LoadedModel(name);
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(GoldenModels.Golden(name, file)));
        foreach (JsonElement item in golden.RootElement.GetProperty(casesName).EnumerateArray())
        {
            int[] expected = Integers(item.GetProperty(expectedName));
            GenerationResult result = model.Generator.Generate(Integers(item.GetProperty("input_ids")), new GenerationOptions { MaxTokens = expected.Length });
            Assert.That(result.Tokens, Is.EqualTo(expected), item.GetProperty("input_ids").GetRawText());
        }
    }

    [Test]
    public void Generate_Stories260K_WritesTheStoryOfLlama2C()
    {
        using var model = new LoadedModel("stories260K_hf");
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(GoldenModels.Golden("stories260K_hf", "golden.json")));
        GenerationResult result = model.Generator.Generate([1], new GenerationOptions { MaxTokens = 200 });
        Assert.That(result.Tokens, Is.EqualTo(Integers(golden.RootElement.GetProperty("greedy200_from_bos"))));
    }

    [Test]
    public void Generate_Seed_DecidesTheTokens()
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, RandomModel.Config(ModelFamily.Qwen3) with { EosTokens = [] });
        var generator = new TextGenerator(model);
        var options = new GenerationOptions { MaxTokens = 30, Temperature = 1, TopP = 0.95, Seed = 5 };
        IReadOnlyList<int> first = generator.Generate([0, 3], options).Tokens;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(generator.Generate([0, 3], options).Tokens, Is.EqualTo(first));
            Assert.That(generator.Generate([0, 3], options with { Seed = 6 }).Tokens, Is.Not.EqualTo(first));
        }
    }

    [Test]
    public void Generate_EndToken_StopsWithoutReportingIt()
    {
        using IBackend backend = Backends.Create("cpu");
        ModelConfig config = RandomModel.Config(ModelFamily.Llama) with { EosTokens = [] };
        int[] prompt = [5, 6, 7];
        IReadOnlyList<int> free;
        using (DecoderModel model = RandomModel.Create(backend, config))
            free = new TextGenerator(model).Generate(prompt, new GenerationOptions { MaxTokens = 12 }).Tokens;
        int end = free[^1], length = free.ToList().IndexOf(end);
        using DecoderModel ending = RandomModel.Create(backend, config with { EosTokens = [end] });
        var streamed = new List<int>();
        GenerationResult result = new TextGenerator(ending).Generate(prompt, new GenerationOptions { MaxTokens = 12 }, streamed.Add);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.Tokens, Is.EqualTo(free.Take(length)));
            Assert.That(streamed, Is.EqualTo(result.Tokens));
            Assert.That(result.Reason, Is.EqualTo(StopReason.EndOfSequence));
        }
    }

    [Test]
    public void Generate_BeyondTheContext_SaysWhatFits()
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, RandomModel.Config(ModelFamily.Llama) with { EosTokens = [] });
        var generator = new TextGenerator(model);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(generator.Generate(new int[60], new GenerationOptions { MaxTokens = 4 }).Tokens, Has.Count.EqualTo(4));
            Assert.That(() => generator.Generate(new int[60], new GenerationOptions { MaxTokens = 5 }),
                Throws.ArgumentException.With.Message.StartsWith("prompt of 60 + 5 new tokens exceed the model's context of 64; shorten the prompt or ask for at most 4 tokens"));
            Assert.That(() => generator.Generate(new int[65], new GenerationOptions()), Throws.ArgumentException.With.Message.StartsWith("prompt of 65 tokens exceeds"));
            Assert.That(() => generator.Generate([], new GenerationOptions()), Throws.ArgumentException.With.Message.StartsWith("the prompt has no token"));
        }
    }

    [Test]
    public void Generate_Cancelled_StopsBetweenTokens()
    {
        using IBackend backend = Backends.Create("cpu");
        using DecoderModel model = RandomModel.Create(backend, RandomModel.Config(ModelFamily.Llama) with { EosTokens = [] });
        using var source = new CancellationTokenSource();
        var seen = new List<int>();
        void OnToken(int token)
        {
            seen.Add(token);
            if (seen.Count == 3)
                source.Cancel();
        }
        Assert.That(() => new TextGenerator(model).Generate([1], new GenerationOptions { MaxTokens = 20 }, OnToken, source.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(seen, Has.Count.EqualTo(3));
    }

    private static int[] Integers(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetInt32())];

    private sealed class LoadedModel : IDisposable
    {
        private readonly IBackend _backend = Backends.Create("cpu");
        private readonly ModelFolder _folder;
        private readonly DecoderModel _model;

        public LoadedModel(string name)
        {
            _folder = ModelFolder.Open(GoldenModels.Folder(name));
            _model = DecoderModel.Load(_folder, _backend);
            Generator = new TextGenerator(_model);
        }

        public TextGenerator Generator { get; }

        public void Dispose()
        {
            _model.Dispose();
            _folder.Dispose();
            _backend.Dispose();
        }
    }
}
