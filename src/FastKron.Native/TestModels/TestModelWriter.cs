using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using FastKron.Native.Calibration;
using FastKron.Native.Compute.Reference;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;

namespace FastKron.Native.TestModels;

/// <summary>Writes a Hugging Face folder of a preset's shape with random weights, one shard for every two blocks, all cores at once.</summary>
/// <remarks>
/// Weights are bf16 normals of standard deviation 1/√inputs, those that write to the residual stream smaller by √(2·layers), so that activations
/// keep their size through the blocks; norm weights scatter around 1 with some outlier channels. The bytes depend on preset, blocks and seed only.
/// There is no tokenizer: calibration.ids holds sequences of random ids, frequent ones first.
/// </remarks>
public static class TestModelWriter
{
    private const int BlocksOfShard = 2, TableSize = 1 << 16, ChunkElements = 1 << 21, OutlierSpacing = 256, SequenceLength = 2048;
    private const float OutlierGain = 8, EmbeddingDeviation = 0.02f, NormDeviation = 0.1f;

    /// <summary>Writes the folder; it appears when complete.</summary>
    /// <param name="preset">Shapes; its <see cref="TestModelPreset.Layers"/> blocks are written.</param>
    /// <param name="output">Must not exist.</param>
    /// <param name="seed">Of all weights and ids.</param>
    /// <param name="calibrationTokens">Tokens of calibration.ids.</param>
    /// <param name="cancellationToken">Checked for every few MB.</param>
    /// <exception cref="InvalidDataException">The output exists.</exception>
    /// <exception cref="IOException">No room.</exception>
    public static void Write(TestModelPreset preset, string output, ulong seed, int calibrationTokens, CancellationToken cancellationToken)
    {
        if (Path.Exists(output))
            throw new InvalidDataException($"{output}: exists already; delete it or choose another --output");
        string partial = Path.GetFullPath(output) + AtomicFile.PartialSuffix;
        if (Directory.Exists(partial))
            Directory.Delete(partial, recursive: true);
        Directory.CreateDirectory(partial);

        List<List<RandomTensor>> shards = Shards(preset);
        float[] normals = new float[TableSize];
        Philox.Normal(seed, RandomPurpose.TestModel, uint.MaxValue, normals);
        Parallel.For(0, shards.Count, new ParallelOptions { CancellationToken = cancellationToken }, shard =>
            WriteShard(Path.Combine(partial, ShardName(shard, shards.Count)), shards[shard], normals, seed, cancellationToken));
        var map = new JsonObject();
        for (int shard = 0; shard < shards.Count; shard++)
        {
            foreach (RandomTensor tensor in shards[shard])
                map[tensor.Name] = ShardName(shard, shards.Count);
        }
        long bytes = shards.Sum(s => s.Sum(t => (long)t.Rows * t.Columns * DType.BF16.Size()));
        WriteJson(partial, "model.safetensors.index.json", new JsonObject { ["metadata"] = new JsonObject { ["total_size"] = bytes }, ["weight_map"] = map });
        WriteJson(partial, "config.json", preset.ToConfig());
        Ids(preset, seed, calibrationTokens).Save(Path.Combine(partial, "calibration.ids"));
        Directory.Move(partial, output);
    }

    /// <summary>Sequences of random ids, id i with a frequency of about 1/(i + 1).</summary>
    public static CalibrationSet Ids(TestModelPreset preset, ulong seed, int tokens)
    {
        var sequences = new List<int[]>();
        for (int start = 0; start < tokens; start += SequenceLength)
        {
            int[] ids = new int[Math.Min(SequenceLength, tokens - start)];
            for (int i = 0; i < ids.Length; i++)
            {
                float u = Philox.Uniform(Philox.Word(seed, (ulong)(start + i), RandomPurpose.TestModel, uint.MaxValue - 1));
                ids[i] = Math.Min(preset.Vocabulary - 1, (int)Math.Pow(preset.Vocabulary, u) - 1);
            }
            sequences.Add(ids);
        }
        return CalibrationSet.Create(sequences, $"random ids, seed {seed}", sequences.Count);
    }

    private static List<List<RandomTensor>> Shards(TestModelPreset preset)
    {
        uint number = 0;
        int queries = preset.Heads * preset.HeadDimension, keys = preset.KeyHeads * preset.HeadDimension;
        double residual = Math.Sqrt(2.0 * preset.Layers);
        RandomTensor Matrix(string name, int rows, int columns, double deviation) => new(name + ".weight", rows, columns, (float)deviation, number++);
        RandomTensor Linear(string name, int rows, int columns, double divisor = 1) => Matrix(name, rows, columns, 1 / (Math.Sqrt(columns) * divisor));
        RandomTensor Norm(string name, int size) => Matrix(name, 1, size, 0) with { IsNorm = true };

        List<List<RandomTensor>> shards = [[Matrix("model.embed_tokens", preset.Vocabulary, preset.Hidden, EmbeddingDeviation)]];
        for (int layer = 0; layer < preset.Layers; layer++)
        {
            if (layer % BlocksOfShard == 0)
                shards.Add([]);
            string path = $"model.layers.{layer}.";
            shards[^1].AddRange(
            [
                Norm(path + "input_layernorm", preset.Hidden), Norm(path + "post_attention_layernorm", preset.Hidden),
                Linear(path + "self_attn.q_proj", queries, preset.Hidden), Linear(path + "self_attn.k_proj", keys, preset.Hidden),
                Linear(path + "self_attn.v_proj", keys, preset.Hidden), Linear(path + "self_attn.o_proj", preset.Hidden, queries, residual),
                Linear(path + "mlp.gate_proj", preset.Intermediate, preset.Hidden), Linear(path + "mlp.up_proj", preset.Intermediate, preset.Hidden),
                Linear(path + "mlp.down_proj", preset.Hidden, preset.Intermediate, residual),
            ]);
            if (preset.Family == "qwen3")
                shards[^1].AddRange([Norm(path + "self_attn.q_norm", preset.HeadDimension), Norm(path + "self_attn.k_norm", preset.HeadDimension)]);
        }
        shards.Add([Norm("model.norm", preset.Hidden)]);
        if (!preset.TiedHead)
            shards[^1].Add(Linear("lm_head", preset.Vocabulary, preset.Hidden));
        return shards;
    }

    private static void WriteShard(string path, List<RandomTensor> tensors, float[] normals, ulong seed, CancellationToken cancellationToken)
    {
        using var writer = SafetensorsWriter.Create(
            path, tensors.Select(t => new SafetensorsTensor(t.Name, SafetensorsType.BF16, t.IsNorm ? [t.Columns] : [t.Rows, t.Columns])),
            new Dictionary<string, string> { ["format"] = "pt" });
        var chunk = new BFloat16[ChunkElements];
        var table = new BFloat16[TableSize];
        foreach (RandomTensor tensor in tensors)
        {
            if (tensor.IsNorm)
            {
                writer.Write(tensor.Name, MemoryMarshal.AsBytes<BFloat16>(NormWeights(tensor, normals, seed)));
                continue;
            }
            for (int i = 0; i < TableSize; i++)
                table[i] = BFloat16.FromSingle(tensor.Deviation * normals[i]);
            long length = (long)tensor.Rows * tensor.Columns;
            for (long start = 0; start < length; start += ChunkElements)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Span<BFloat16> values = chunk.AsSpan(0, (int)Math.Min(ChunkElements, length - start));
                Draw(table, seed, tensor.Number, start, values);
                writer.Write(tensor.Name, MemoryMarshal.AsBytes(values));
            }
        }
        writer.Commit();
    }

    // Eight entries of the table for every four random words.
    private static void Draw(BFloat16[] table, ulong seed, uint tensor, long start, Span<BFloat16> values)
    {
        for (int i = 0; i < values.Length; i += 8)
        {
            (uint x, uint y, uint z, uint w) = Philox.Words(seed, (ulong)(start + i) / 8, RandomPurpose.TestModel, tensor);
            ReadOnlySpan<uint> words = [x, y, z, w];
            ReadOnlySpan<ushort> indices = MemoryMarshal.Cast<uint, ushort>(words);
            for (int j = 0; j < Math.Min(8, values.Length - i); j++)
                values[i + j] = table[indices[j]];
        }
    }

    private static BFloat16[] NormWeights(RandomTensor tensor, float[] normals, ulong seed)
    {
        var values = new BFloat16[tensor.Columns];
        for (int i = 0; i < values.Length; i++)
        {
            uint word = Philox.Word(seed, (ulong)i, RandomPurpose.TestModel, tensor.Number);
            float value = 1 + NormDeviation * normals[word & (TableSize - 1)];
            values[i] = BFloat16.FromSingle((word >> 16) % OutlierSpacing == 0 ? OutlierGain * value : value);
        }
        return values;
    }

    private static void WriteJson(string folder, string name, JsonObject json) =>
        AtomicFile.WriteAllBytes(Path.Combine(folder, name), Encoding.UTF8.GetBytes(json.ToJsonString()));

    private static string ShardName(int shard, int count) => $"model-{shard + 1:D5}-of-{count:D5}.safetensors";

    private sealed record RandomTensor(string Name, int Rows, int Columns, float Deviation, uint Number)
    {
        public bool IsNorm { get; init; }
    }
}
