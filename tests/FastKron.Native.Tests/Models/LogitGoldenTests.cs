using System.Globalization;
using System.Text.Json;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Models;
using FastKron.Native.Tests.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Models;

/// <summary>golden.json and corpus.json: the last token's logits and the mean loss of short prompts.</summary>
public sealed class LogitGoldenTests
{
    // Stored to 7 digits from float64; the bound of 1e-4 of the root mean square for float32.
    [TestCase("stories260K_hf")]
    [TestCase("tiny_llama3_mlxd")]
    [TestCase("tiny_qwen3_mlxd")]
    public void Logits_Prompts_MatchFloat64(string name)
    {
        using var problem = new Problem(name);
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(GoldenModels.Golden(name, "golden.json")));
        foreach (JsonElement item in golden.RootElement.GetProperty("cases").EnumerateArray())
        {
            (float[] logits, double loss) = problem.Run(item.GetProperty("input_ids"));
            double[] expected = [.. item.GetProperty("last_logits").EnumerateArray().Select(e => e.GetDouble())];
            Assert.That(logits, Is.EqualTo(expected).Within(1e-4 * Math.Sqrt(expected.Average(z => z * z))));
            if (item.GetProperty("mean_nll").ValueKind == JsonValueKind.Number)
                Assert.That(loss, Is.EqualTo(item.GetProperty("mean_nll").GetDouble()).Within(1e-5));
        }
    }

    [Test]
    public void Logits_TinyRandomLlama2_MatchTransformersInFloat32()
    {
        using var problem = new Problem("tiny_random_llama2");
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(GoldenModels.Golden("tiny_random_llama2", "corpus.json")));
        foreach (JsonElement item in golden.RootElement.GetProperty("model_cases").EnumerateArray())
        {
            (float[] logits, _) = problem.Run(item.GetProperty("input_ids"));
            foreach (JsonProperty sample in item.GetProperty("sampled_logits").EnumerateObject())
                Assert.That(logits[int.Parse(sample.Name, CultureInfo.InvariantCulture)], Is.EqualTo(sample.Value.GetDouble()).Within(1e-5));   // the corpus' own tolerance
        }
    }

    private sealed class Problem : IDisposable
    {
        private readonly IBackend _backend = Backends.Create("cpu");
        private readonly ModelFolder _folder;
        private readonly DecoderModel _model;

        public Problem(string name)
        {
            _folder = ModelFolder.Open(GoldenModels.Folder(name));
            _model = DecoderModel.Load(_folder, _backend);
        }

        /// <summary>The last token's logits and the mean loss of the others.</summary>
        public (float[] Logits, double Loss) Run(JsonElement ids)
        {
            using PackedBatch batch = PackedBatch.Create(_backend, _model.Config, [[.. ids.EnumerateArray().Select(e => e.GetInt32())]]);
            using Tensor hidden = _backend.Allocate(_backend.ActivationType, batch.Tokens, _model.Config.HiddenSize);
            using Tensor logits = _backend.Allocate(DType.F32, 1, _model.Config.VocabularySize), losses = _backend.Allocate(DType.F32, 1, batch.Tokens);
            _model.Forward(batch, hidden);
            _model.Logits(hidden.SliceRows(batch.Tokens - 1, 1), logits);
            LossGradient.Losses(_model, hidden, batch.NextTokens, losses);
            return (logits.AsSpan<float>().ToArray(), losses.AsSpan<float>().ToArray().Sum(l => (double)l) / batch.LabelCount);
        }

        public void Dispose()
        {
            _model.Dispose();
            _folder.Dispose();
            _backend.Dispose();
        }
    }
}
