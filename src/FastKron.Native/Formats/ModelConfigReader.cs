namespace FastKron.Native.Formats;

/// <summary>Reads config.json of llama and qwen3 models, in the older spelling and in that of transformers 5.</summary>
public static class ModelConfigReader
{
    private const int MaxLayers = 10_000;

    /// <summary>Upper end of sizes of one axis: products of two of them fit into a long with room to spare.</summary>
    private const int MaxSize = 1 << 24;

    /// <summary>Reads and checks a config.json, and the end-of-sequence ids of a generation_config.json beside it.</summary>
    /// <exception cref="InvalidDataException">Not readable, a field missing or out of range: path, field, found, expected.</exception>
    /// <exception cref="NotSupportedException">A feature that the engine has not, with what it has.</exception>
    public static ModelConfig Read(string path)
    {
        path = Path.GetFullPath(path);
        ModelConfig config = JsonFields.Read(path, ReadConfig);
        string generation = Path.Combine(Path.GetDirectoryName(path)!, "generation_config.json");
        if (!File.Exists(generation))
            return config;
        List<int> more = JsonFields.Read(generation, fields => fields.OneOrMoreInt32("eos_token_id", 0, config.VocabularySize - 1));
        return config with { EosTokens = [.. config.EosTokens.Union(more)] };
    }

    private static ModelConfig ReadConfig(JsonFields fields)
    {
        ModelFamily family = fields.Text("model_type") switch
        {
            "llama" => ModelFamily.Llama,
            "qwen3" => ModelFamily.Qwen3,
            null => throw fields.Bad("model_type", "llama or qwen3"),
            _ => throw fields.Unsupported("model_type", "llama (LLaMA 1 to 3 and look-alikes) and qwen3 (dense)"),
        };
        int layers = fields.RequiredInt32("num_hidden_layers", 1, MaxLayers);
        RefuseUnsupported(fields, layers);

        int vocabulary = fields.RequiredInt32("vocab_size", 1, MaxSize);
        int hidden = fields.RequiredInt32("hidden_size", 1, MaxSize);
        int heads = fields.RequiredInt32("num_attention_heads", 1, 1 << 14);
        int keyHeads = fields.Int32("num_key_value_heads", 1, heads) ?? heads;
        if (heads % keyHeads != 0)
            throw fields.Bad("num_key_value_heads", $"a divisor of num_attention_heads {heads}");
        return new ModelConfig
        {
            Family = family,
            VocabularySize = vocabulary,
            HiddenSize = hidden,
            IntermediateSize = fields.RequiredInt32("intermediate_size", 1, MaxSize),
            Layers = layers,
            Heads = heads,
            KeyHeads = keyHeads,
            HeadDimension = ReadHeadDimension(fields, family, hidden, heads),
            MaxPositions = fields.RequiredInt32("max_position_embeddings", 1, 1 << 30),
            RmsNormEpsilon = (float)fields.RequiredDouble("rms_norm_eps", 1e-30, 1),
            Rotary = ReadRotary(fields),
            TiedHead = fields.Boolean("tie_word_embeddings", absent: false),
            BosToken = fields.Int32("bos_token_id", 0, vocabulary - 1),
            EosTokens = fields.OneOrMoreInt32("eos_token_id", 0, vocabulary - 1),
            TensorType = ReadTensorType(fields),
            Quantization = fields.Object("quip_params") is { } parameters ? ReadQuantization(parameters, layers) : null,
        };
    }

    private static void RefuseUnsupported(JsonFields fields, int layers)
    {
        foreach (string bias in (string[])["attention_bias", "mlp_bias"])
        {
            if (fields.Boolean(bias, absent: false))
                throw fields.Unsupported(bias, "false: linears without bias");
        }
        if ((fields.Text("hidden_act") ?? "silu") != "silu")
            throw fields.Unsupported("hidden_act", "silu");
        foreach (string experts in (string[])["num_experts", "num_local_experts"])
        {
            if (fields.Int32(experts, 0, int.MaxValue) is > 0)
                throw fields.Unsupported(experts, "0: a dense MLP, no mixture of experts");
        }
        if (fields.Contains("quantization_config"))
            throw fields.Unsupported("quantization_config", "a dense checkpoint in bf16, f16 or f32, or quip_params");

        // The kinds of the layers decide where they are listed; else a window is in use from layer max_window_layers on.
        bool listed = fields.Contains("layer_types");
        if (listed && fields.Texts("layer_types").Exists(static kind => kind != "full_attention"))
            throw fields.Unsupported("layer_types", "full_attention");
        bool window = fields.Boolean("use_sliding_window", absent: false) && fields.Contains("sliding_window");
        if (!listed && window && (fields.Int32("max_window_layers", 0, int.MaxValue) ?? 0) < layers)
            throw fields.Unsupported("sliding_window", "full attention: use_sliding_window false");
    }

    private static int ReadHeadDimension(JsonFields fields, ModelFamily family, int hidden, int heads)
    {
        // transformers: qwen3 has 128 where the field is absent.
        int dimension = fields.Int32("head_dim", 2, 1 << 10) ?? (family == ModelFamily.Qwen3 ? 128 : hidden % heads == 0 ? hidden / heads
            : throw fields.Bad("head_dim", $"a number, since {heads} heads do not divide hidden_size {hidden}"));
        return dimension % 2 == 0 && dimension > 0 ? dimension : throw fields.Bad("head_dim", $"an even number of elements in a head, which {dimension} is not");
    }

    private static RotarySettings ReadRotary(JsonFields fields)
    {
        const double MaxTheta = 1e30, DefaultTheta = 10_000;
        double? theta = fields.Double("rope_theta", 1, MaxTheta);
        if ((fields.Object("rope_parameters") ?? fields.Object("rope_scaling")) is not { } rope)
            return new RotarySettings(theta ?? DefaultTheta, null);

        double? inner = rope.Double("rope_theta", 1, MaxTheta);
        if (theta is not null && inner is not null && theta != inner)
            throw rope.Bad("rope_theta", $"the outer rope_theta {theta}");
        theta = inner ?? theta ?? DefaultTheta;
        if (rope.Double("partial_rotary_factor", 0, 1) is < 1)
            throw rope.Unsupported("partial_rotary_factor", "1: whole heads are rotated");

        string key = rope.Contains("rope_type") || !rope.Contains("type") ? "rope_type" : "type";
        return rope.Text(key) switch
        {
            "default" => new RotarySettings(theta.Value, null),
            null when fields.Contains("rope_parameters") => new RotarySettings(theta.Value, null),
            null => throw rope.Bad(key, "default or llama3"),
            "llama3" => new RotarySettings(theta.Value, ReadLlama3(rope)),
            _ => throw rope.Unsupported(key, "default and llama3"),
        };
    }

    private static Llama3Scaling ReadLlama3(JsonFields rope)
    {
        double low = rope.RequiredDouble("low_freq_factor", 1e-6, 1e6);
        return new Llama3Scaling(
            rope.RequiredDouble("factor", 1, 1e6), low, rope.RequiredDouble("high_freq_factor", Math.BitIncrement(low), 1e9),
            rope.RequiredInt32("original_max_position_embeddings", 1, 1 << 30));
    }

    private static string? ReadTensorType(JsonFields fields)
    {
        string? newer = fields.Text("dtype"), older = fields.Text("torch_dtype");
        if (newer is not null && older is not null && newer != older)
            throw fields.Bad("dtype", $"the same as torch_dtype {MalformedFile.Quote(older)}");
        return (newer ?? older) switch
        {
            null or "bfloat16" or "float16" or "float32" => newer ?? older,
            _ => throw fields.Unsupported(newer is null ? "torch_dtype" : "dtype", "bfloat16, float16 and float32"),
        };
    }

    private static QuantizationParameters ReadQuantization(JsonFields fields, int layers)
    {
        Require("codebook", fields.Text("codebook") == "bitshift", "bitshift");
        Require("codebook_version", fields.Int32("codebook_version", 0, int.MaxValue) is null or 0, "0");
        Require("L", fields.RequiredInt32("L", 1, 64) == 16, "16");
        Require("td_x", fields.RequiredInt32("td_x", 1, 4096) == 16, "16: tiles of 16 x 16 weights");
        Require("td_y", fields.RequiredInt32("td_y", 1, 4096) == 16, "16: tiles of 16 x 16 weights");
        Require("split_for_tp", !fields.Boolean("split_for_tp", absent: false), "false: one Hadamard transform over the whole axis");

        string mode = fields.Text("decode_mode") ?? throw fields.Bad("decode_mode", "a code's name");
        List<string> skipped = fields.Texts("skip_list");
        foreach (string name in skipped)
            ModulePath(name, "skip_list");
        Dictionary<string, int>? own = null;
        if (fields.Object("K_linear") is { } list)
            own = list.Keys.ToDictionary(name => ModulePath(name, "K_linear"), name => list.RequiredInt32(name, 1, 8), StringComparer.Ordinal);
        return new QuantizationParameters(
            fields.RequiredInt32("K", 1, 8), fields.RequiredInt32("V", 1, 8), mode, fields.Int32("tlut_bits", 0, 16) ?? 0, skipped,
            fields.Int32("K_v_proj", 1, 8), own);

        string ModulePath(string name, string field)
        {
            int separator = name.IndexOf('_', StringComparison.Ordinal);
            if (separator > 0 && int.TryParse(name.AsSpan(0, separator), System.Globalization.NumberStyles.None, null, out int layer) && layer < layers)
            {
                foreach (BlockLinear linear in BlockLinears.All)
                {
                    if (QuantizedCheckpoint.SkipName(linear, layer) == name)
                        return linear.ModulePath(layer);
                }
            }
            throw fields.Bad(field, $"names as 0_q: a layer below {layers} and one of q, k, v, o, gate, up, down");
        }

        void Require(string name, bool holds, string supported)
        {
            if (!holds)
                throw fields.Unsupported(name, supported);
        }
    }
}
