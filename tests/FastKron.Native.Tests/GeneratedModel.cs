using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;

namespace FastKron.Native.Tests;

/// <summary>Writes a small LLaMA with random bf16 weights: two blocks that quantize in well under a second.</summary>
internal static class GeneratedModel
{
    public const int Hidden = 64, Inner = 128, Heads = 2, KeyHeads = 1, HeadDimension = 32, Vocabulary = 256, Layers = 2;

    public static string Write(string folder)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), $$"""
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": {{Vocabulary}}, "hidden_size": {{Hidden}}, "intermediate_size": {{Inner}},
             "num_hidden_layers": {{Layers}}, "num_attention_heads": {{Heads}}, "num_key_value_heads": {{KeyHeads}}, "head_dim": {{HeadDimension}}, "max_position_embeddings": 128,
             "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": true, "bos_token_id": 0, "eos_token_id": 1, "torch_dtype": "bfloat16"}
            """);
        List<SafetensorsTensor> tensors = [Tensor("model.embed_tokens.weight", Vocabulary, Hidden), Tensor("model.norm.weight", Hidden)];
        for (int layer = 0; layer < Layers; layer++)
        {
            string prefix = $"model.layers.{layer}.";
            tensors.AddRange([Tensor(prefix + "input_layernorm.weight", Hidden), Tensor(prefix + "post_attention_layernorm.weight", Hidden)]);
            foreach ((string name, int rows, int columns) in new[]
            {
                ("self_attn.q_proj", Heads * HeadDimension, Hidden), ("self_attn.k_proj", KeyHeads * HeadDimension, Hidden), ("self_attn.v_proj", KeyHeads * HeadDimension, Hidden),
                ("self_attn.o_proj", Hidden, Heads * HeadDimension), ("mlp.gate_proj", Inner, Hidden), ("mlp.up_proj", Inner, Hidden), ("mlp.down_proj", Hidden, Inner),
            })
                tensors.Add(Tensor($"{prefix}{name}.weight", rows, columns));
        }
        using SafetensorsWriter file = SafetensorsWriter.Create(Path.Combine(folder, "model.safetensors"), tensors, new Dictionary<string, string> { ["format"] = "pt" });
        for (int i = 0; i < tensors.Count; i++)
        {
            float[] values = new float[tensors[i].Bytes / 2];
            bool norm = tensors[i].Shape.Count == 1;
            Philox.Normal(1, RandomPurpose.Test, (uint)i, values);
            BFloat16[] stored = [.. values.Select(v => BFloat16.FromSingle(norm ? 1 + 0.1f * v : 0.1f * v))];
            file.Write(tensors[i].Name, MemoryMarshal.AsBytes(stored.AsSpan()));
        }
        file.Commit();
        return folder;
    }

    /// <summary>The same with a tokenizer whose tokens are the 256 bytes.</summary>
    public static string WriteWithTokenizer(string folder)
    {
        Write(folder);
        JsonObject root = JsonNode.Parse(File.ReadAllBytes(Path.Combine(SharedData.Model("tiny-llama"), "tokenizer.json")))!.AsObject();
        JsonObject model = root["model"]!.AsObject();
        string[] letters = [.. model["vocab"]!.AsObject().Select(token => token.Key).Where(token => token.Length == 1)];
        model["vocab"] = new JsonObject([.. letters.Select((letter, id) => KeyValuePair.Create(letter, (JsonNode?)JsonValue.Create(id)))]);
        model["merges"] = new JsonArray();
        root["added_tokens"] = new JsonArray();
        root["post_processor"] = null;
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), root.ToJsonString());
        return folder;
    }

    private static SafetensorsTensor Tensor(string name, params long[] shape) => new(name, SafetensorsType.BF16, shape);
}
