using FastKron.Native.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Formats;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class ModelConfigReaderTests : IDisposable
{
    private const string Shape = """
        "vocab_size": 1000, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-05
        """;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void Read_TransformersFiveSpelling_GivesTheShippedModel()
    {
        ModelConfig config = ModelConfigReader.Read(Path.Combine(SharedData.Model("tiny-llama"), "config.json"));
        Assert.That(config with { EosTokens = [] }, Is.EqualTo(new ModelConfig
        {
            Family = ModelFamily.Llama,
            VocabularySize = 2048,
            HiddenSize = 256,
            IntermediateSize = 768,
            Layers = 4,
            Heads = 4,
            KeyHeads = 2,
            HeadDimension = 64,
            MaxPositions = 512,
            RmsNormEpsilon = 1e-5f,
            Rotary = new RotarySettings(10_000, null),
            TiedHead = true,
            BosToken = 0,
            EosTokens = [],
            TensorType = "bfloat16",
        }).Using<ModelConfig>((a, b) => a with { EosTokens = b.EosTokens } == b));
        Assert.That(config.EosTokens, Is.EqualTo(new[] { 1 }));
    }

    [TestCase("tiny-qwen3", ModelFamily.Qwen3, 6, 2, 64, false, "bfloat16")]
    [TestCase("smollm2-135m", ModelFamily.Llama, 9, 3, 64, true, "bfloat16")]
    [TestCase("stories260K_hf", ModelFamily.Llama, 8, 4, 8, true, "float32")]
    [TestCase("tiny_random_llama2", ModelFamily.Llama, 4, 4, 4, false, "bfloat16")]
    [TestCase("tiny_llama3_mlxd", ModelFamily.Llama, 4, 2, 16, false, null)]
    [TestCase("tiny_qwen3_mlxd", ModelFamily.Qwen3, 4, 2, 16, false, null)]
    public void Read_SharedModels_GivesTheirShapes(string model, ModelFamily family, int heads, int keyHeads, int headDimension, bool tied, string? type)
    {
        ModelConfig config = ModelConfigReader.Read(Path.Combine(SharedData.Path($"models/{model}"), "config.json"));
        Assert.That(
            (config.Family, config.Heads, config.KeyHeads, config.HeadDimension, config.TiedHead, config.TensorType),
            Is.EqualTo((family, heads, keyHeads, headDimension, tied, type)));
        Assert.That(config.HasQueryKeyNorm, Is.EqualTo(family == ModelFamily.Qwen3));
    }

    [TestCase("\"rope_theta\": 500000.0, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192}")]
    [TestCase("\"rope_theta\": 500000, \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192}")]
    [TestCase("\"rope_parameters\": {\"rope_theta\": 500000.0, \"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192}")]
    public void Read_Llama3Scaling_IsTheSameInEverySpelling(string rope) =>
        Assert.That(Read(rope).Rotary, Is.EqualTo(new RotarySettings(500_000, new Llama3Scaling(8, 1, 4, 8192))));

    [TestCase("", 10_000)]
    [TestCase("\"rope_theta\": 1e6, \"rope_scaling\": null", 1_000_000)]
    [TestCase("\"rope_theta\": 1e6, \"rope_scaling\": {\"type\": \"default\"}", 1_000_000)]
    [TestCase("\"rope_theta\": 5e5, \"rope_parameters\": {\"rope_theta\": 500000}", 500_000)]
    public void Read_DefaultRotary_GivesTheta(string rope, double theta) => Assert.That(Read(rope).Rotary, Is.EqualTo(new RotarySettings(theta, null)));

    [TestCase("", new int[0])]
    [TestCase("\"eos_token_id\": null", new int[0])]
    [TestCase("\"eos_token_id\": 7", new[] { 7 })]
    [TestCase("\"eos_token_id\": [7, 9, 7]", new[] { 7, 9 })]
    public void Read_EndTokens_NumberListOrNull(string eos, int[] expected) => Assert.That(Read(eos).EosTokens, Is.EqualTo(expected));

    [Test]
    public void Read_GenerationConfig_AddsItsEndTokens()
    {
        File.WriteAllText(_folder.File("generation_config.json"), """{"eos_token_id": [9, 7, 11]}""");
        Assert.That(Read("\"eos_token_id\": 7").EosTokens, Is.EqualTo(new[] { 7, 9, 11 }));
    }

    [TestCase("llama", "", 16)]
    [TestCase("llama", "\"head_dim\": null", 16)]
    [TestCase("llama", "\"head_dim\": 32", 32)]
    [TestCase("qwen3", "", 128)]
    public void Read_HeadDimension_DefaultsAsInTransformers(string family, string field, int expected) =>
        Assert.That(Read(field, family).HeadDimension, Is.EqualTo(expected));

    [TestCase("\"dtype\": \"float16\"")]
    [TestCase("\"torch_dtype\": \"float16\"")]
    [TestCase("\"torch_dtype\": \"float16\", \"dtype\": \"float16\"")]
    public void Read_TensorType_BothSpellings(string field) => Assert.That(Read(field).TensorType, Is.EqualTo("float16"));

    [Test]
    public void Read_WindowThatNoLayerUses_IsAccepted() =>
        Assert.That(() => Read("\"sliding_window\": 4096, \"use_sliding_window\": true, \"max_window_layers\": 3", "qwen3"), Throws.Nothing);

    [Test]
    public void Read_QuipParams_GivesTheCode()
    {
        QuantizationParameters parameters = Read(Quip("\"skip_list\": [\"0_q\", \"2_gate\"]")).Quantization!;
        Assert.That((parameters.Bits, parameters.Vector, parameters.DecodeMode, parameters.TableBits), Is.EqualTo((2, 2, "quantlut_sym", 9)));
        Assert.That(parameters.SkipList, Is.EqualTo(new[] { "0_q", "2_gate" }));
        Assert.That(Read(Quip("\"skip_list\": null")).Quantization!.SkipList, Is.Empty);
        QuantizationParameters mixed = Read(Quip("\"K_v_proj\": 3, \"K_linear\": {\"0_q\": 4, \"1_v\": 2}")).Quantization!;
        Assert.That(
            new[] { BlockLinear.Query, BlockLinear.Value }.SelectMany(l => new[] { mixed.BitsOf(l.ModulePath(0)), mixed.BitsOf(l.ModulePath(1)) }), Is.EqualTo(new[] { 4, 2, 3, 2 }));
        Assert.That(Read("").Quantization, Is.Null);
    }

    [TestCase("\"attention_bias\": true", "attention_bias")]
    [TestCase("\"mlp_bias\": true", "mlp_bias")]
    [TestCase("\"hidden_act\": \"gelu\"", "silu")]
    [TestCase("\"num_local_experts\": 8", "mixture")]
    [TestCase("\"sliding_window\": 4096, \"use_sliding_window\": true, \"max_window_layers\": 2", "full attention")]
    [TestCase("\"layer_types\": [\"full_attention\", \"sliding_attention\", \"full_attention\"]", "full_attention")]
    [TestCase("\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0}", "default and llama3")]
    [TestCase("\"rope_parameters\": {\"partial_rotary_factor\": 0.5}", "partial_rotary_factor")]
    [TestCase("\"torch_dtype\": \"float8_e4m3fn\"", "bfloat16, float16 and float32")]
    [TestCase("\"quantization_config\": {\"quant_method\": \"gptq\"}", "gptq")]
    public void Read_UnsupportedFeature_NamesItAndWhatIsSupported(string field, string named) => Assert.That(
        () => Read(field), Throws.TypeOf<NotSupportedException>().With.Message.Contains(named).And.Message.Contains("config.json").And.Message.Contains("supported is"));

    [TestCase("\"split_for_tp\": true")]
    [TestCase("\"codebook_version\": 1")]
    public void Read_UnsupportedQuipParameter_NamesIt(string field) => Assert.That(
        () => Read(Quip(field)), Throws.TypeOf<NotSupportedException>().With.Message.Contains("quip_params." + field.Split('"')[1]));

    [TestCase("mixtral")]
    [TestCase("qwen3_moe")]
    public void Read_OtherFamily_NamesTheSupportedOnes(string family) => Assert.That(
        () => Read("", family), Throws.TypeOf<NotSupportedException>().With.Message.Contains(family).And.Message.Contains("llama").And.Message.Contains("qwen3"));

    [TestCase("\"vocab_size\": 0")]
    [TestCase("\"vocab_size\": -5")]
    [TestCase("\"vocab_size\": 1e3")]
    [TestCase("\"vocab_size\": 99999999999999999999")]
    [TestCase("\"vocab_size\": \"1000\"")]
    [TestCase("\"vocab_size\": null")]
    [TestCase("\"hidden_size\": 2147483647")]
    [TestCase("\"intermediate_size\": 0")]
    [TestCase("\"num_hidden_layers\": 1000000")]
    [TestCase("\"num_attention_heads\": 0")]
    [TestCase("\"num_key_value_heads\": 3")]
    [TestCase("\"num_key_value_heads\": 8")]
    [TestCase("\"head_dim\": 15")]
    [TestCase("\"max_position_embeddings\": 0")]
    [TestCase("\"rms_norm_eps\": 0")]
    [TestCase("\"rms_norm_eps\": 1e999")]
    [TestCase("\"rms_norm_eps\": true")]
    [TestCase("\"rope_theta\": -1")]
    [TestCase("\"rope_theta\": [1]")]
    [TestCase("\"rope_scaling\": 7")]
    [TestCase("\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 4.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192}", "high_freq_factor")]
    [TestCase("\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0}", "low_freq_factor")]
    [TestCase("\"tie_word_embeddings\": \"yes\"")]
    [TestCase("\"bos_token_id\": 1000")]
    [TestCase("\"eos_token_id\": -1")]
    [TestCase("\"eos_token_id\": [1, \"2\"]")]
    [TestCase("\"eos_token_id\": {}")]
    [TestCase("\"dtype\": \"float16\", \"torch_dtype\": \"bfloat16\"")]
    [TestCase("\"quip_params\": {\"codebook\": \"bitshift\", \"K\": 2}", "quip_params.L")]
    [TestCase("\"quip_params\": []")]
    public void Read_FieldOutOfRange_NamesFieldAndFile(string field, string? named = null)
    {
        string name = named ?? field.Split('"')[1];
        Assert.That(() => Read(field), Throws.TypeOf<InvalidDataException>().With.Message.Contains(name).And.Message.Contains("config.json"));
    }

    [TestCase("0_z")]
    [TestCase("3_q")]
    [TestCase("q")]
    [TestCase("_q")]
    [TestCase("-1_q")]
    [TestCase("99999999999_q")]
    public void Read_BadSkipList_NamesIt(string entry) => Assert.That(
        () => Read(Quip($"\"skip_list\": [\"{entry}\"]")), Throws.TypeOf<InvalidDataException>().With.Message.Contains("quip_params.skip_list"));

    [TestCase("")]
    [TestCase("{")]
    [TestCase("[]")]
    [TestCase("null")]
    [TestCase("{\"model_type\": \"llama\", \"model_type\": \"qwen3\"}")]
    [TestCase("{\"model_type\": \"\\ud800\"}")]
    [TestCase("{\"a\\ud800\": 1}")]
    [TestCase("{\"hidden_size\": 64}")]
    public void Read_NoConfig_NamesTheFile(string json)
    {
        File.WriteAllText(_folder.File("config.json"), json);
        Assert.That(() => ModelConfigReader.Read(_folder.File("config.json")), Throws.TypeOf<InvalidDataException>().With.Message.Contains("config.json"));
    }

    [Test]
    public void Read_NoUtf8OrNoFile_NamesTheFile()
    {
        string path = _folder.File("config.json");
        Assert.That(() => ModelConfigReader.Read(path), Throws.TypeOf<InvalidDataException>().With.Message.Contains(path));
        File.WriteAllBytes(path, [(byte)'{', (byte)'"', 0xFF, (byte)'"', (byte)':', (byte)'1', (byte)'}']);
        Assert.That(() => ModelConfigReader.Read(path), Throws.TypeOf<InvalidDataException>().With.Message.Contains("UTF-8"));
    }

    [Test]
    public void Read_EveryTruncation_GivesATypedError()
    {
        byte[] whole = File.ReadAllBytes(Path.Combine(SharedData.Model("tiny-qwen3"), "config.json"));
        int end = Array.LastIndexOf(whole, (byte)'}');
        string path = _folder.File("config.json");
        for (int length = 0; length <= end; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            Assert.That(() => ModelConfigReader.Read(path), Throws.TypeOf<InvalidDataException>(), $"{length}");
        }
    }

    private static string Quip(string field) =>
        "\"quip_params\": {\"codebook\": \"bitshift\", \"L\": 16, \"K\": 2, \"V\": 2, \"tlut_bits\": 9, \"decode_mode\": \"quantlut_sym\", \"td_x\": 16, \"td_y\": 16, " + field + "}";

    /// <summary>Reads a valid config in which <paramref name="fields"/> replace or extend what is there.</summary>
    private ModelConfig Read(string fields, string family = "llama")
    {
        string path = _folder.File("config.json");
        var node = (System.Text.Json.Nodes.JsonObject)System.Text.Json.Nodes.JsonNode.Parse($$"""{"model_type": "{{family}}", {{Shape}}}""")!;
        var changes = (System.Text.Json.Nodes.JsonObject)System.Text.Json.Nodes.JsonNode.Parse("{" + fields + "}")!;
        foreach ((string name, System.Text.Json.Nodes.JsonNode? value) in changes)
            node[name] = value?.DeepClone();
        File.WriteAllText(path, node.ToJsonString());
        return ModelConfigReader.Read(path);
    }
}
