using System.Text.Json.Nodes;

namespace FastKron.Native.TestModels;

/// <summary>The published shape of a model, for folders with its config.json and random weights.</summary>
/// <param name="Name">As given on the command line.</param>
/// <param name="Family"><c>llama</c> or <c>qwen3</c>.</param>
/// <param name="Vocabulary">Rows of the embedding.</param>
/// <param name="Hidden">Elements of the residual stream.</param>
/// <param name="Intermediate">Elements of the MLP's inner layer.</param>
/// <param name="Layers">Blocks.</param>
/// <param name="Heads">Query heads.</param>
/// <param name="KeyHeads">Key and value heads.</param>
/// <param name="HeadDimension">Elements of a head.</param>
/// <param name="Context">Longest context in tokens.</param>
/// <param name="Theta">Base of the rotary embedding.</param>
/// <param name="Epsilon">Of the norms.</param>
/// <param name="TiedHead">Whether the head is the embedding.</param>
/// <param name="Bos">Begin-of-sequence id.</param>
/// <param name="Eos">End-of-sequence id.</param>
public sealed record TestModelPreset(
    string Name, string Family, int Vocabulary, int Hidden, int Intermediate, int Layers, int Heads, int KeyHeads, int HeadDimension, int Context,
    double Theta, double Epsilon, bool TiedHead, int Bos, int Eos)
{
    /// <summary>Every preset, as its config.json on Hugging Face has it.</summary>
    public static IReadOnlyList<TestModelPreset> All { get; } =
    [
        new("smollm2-135m", "llama", 49152, 576, 1536, 30, 9, 3, 64, 8192, 100000, 1e-5, true, 0, 0),
        new("llama-2-7b", "llama", 32000, 4096, 11008, 32, 32, 32, 128, 4096, 10000, 1e-5, false, 1, 2),
        new("llama-3-8b", "llama", 128256, 4096, 14336, 32, 32, 8, 128, 8192, 500000, 1e-5, false, 128000, 128001),
        new("qwen3-4b", "qwen3", 151936, 2560, 9728, 36, 32, 8, 128, 40960, 1000000, 1e-6, true, 151643, 151645),
        new("qwen3-8b", "qwen3", 151936, 4096, 12288, 36, 32, 8, 128, 40960, 1000000, 1e-6, false, 151643, 151645),
        new("qwen3-14b", "qwen3", 151936, 5120, 17408, 40, 40, 8, 128, 40960, 1000000, 1e-6, false, 151643, 151645),
        new("qwen3-32b", "qwen3", 151936, 5120, 25600, 64, 64, 8, 128, 40960, 1000000, 1e-6, false, 151643, 151645),
    ];

    /// <summary>The config.json.</summary>
    public JsonObject ToConfig() => new()
    {
        ["architectures"] = new JsonArray(Family == "llama" ? "LlamaForCausalLM" : "Qwen3ForCausalLM"),
        ["attention_bias"] = false,
        ["bos_token_id"] = Bos,
        ["eos_token_id"] = Eos,
        ["head_dim"] = HeadDimension,
        ["hidden_act"] = "silu",
        ["hidden_size"] = Hidden,
        ["intermediate_size"] = Intermediate,
        ["max_position_embeddings"] = Context,
        ["model_type"] = Family,
        ["num_attention_heads"] = Heads,
        ["num_hidden_layers"] = Layers,
        ["num_key_value_heads"] = KeyHeads,
        ["rms_norm_eps"] = Epsilon,
        ["rope_theta"] = Theta,
        ["tie_word_embeddings"] = TiedHead,
        ["torch_dtype"] = "bfloat16",
        ["vocab_size"] = Vocabulary,
    };
}
