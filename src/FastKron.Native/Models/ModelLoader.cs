using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;

namespace FastKron.Native.Models;

/// <summary>Reads the weights of a model folder by their Hugging Face names.</summary>
/// <param name="folder">Dense or quantized.</param>
/// <param name="backend">Where the weights go.</param>
/// <param name="replaced">Linears to take instead of the folder's, by module path; null for none.</param>
internal sealed class ModelLoader(ModelFolder folder, IBackend backend, IReadOnlyDictionary<string, QuantizedWeights>? replaced = null)
{
    private readonly ModelConfig _config = folder.Config;
    private readonly List<IDisposable> _loaded = [];   // what to free if a later tensor is bad

    /// <summary>Loads everything, or only some blocks of all; frees what it has loaded if something is wrong.</summary>
    /// <param name="residentBlocks">Blocks, from the first, that are loaded now; the model reads the others again whenever they are used.</param>
    public DecoderModel Load(int residentBlocks = int.MaxValue)
    {
        try
        {
            Workspace workspace = Keep(new Workspace(backend));
            RotaryTables rotary = Keep(new RotaryTables(backend, _config));
            Tensor embedding = Matrix("model.embed_tokens.weight", _config.VocabularySize, _config.HiddenSize);
            var blocks = new DecoderBlock[Math.Min(_config.Layers, residentBlocks)];
            for (int layer = 0; layer < blocks.Length; layer++)
                blocks[layer] = Keep(Block(layer, rotary, workspace));
            Tensor finalNorm = Norm("model.norm.weight", _config.HiddenSize);
            Tensor head = _config.TiedHead ? embedding : Matrix("lm_head.weight", _config.VocabularySize, _config.HiddenSize);
            return new DecoderModel(backend, _config, embedding, blocks, finalNorm, head, rotary, workspace, layer => Block(layer, rotary, workspace));
        }
        catch
        {
            foreach (IDisposable item in _loaded)
                item.Dispose();
            throw;
        }
    }

    // The block owns its weights; if one is bad, those before it are freed.
    private DecoderBlock Block(int layer, RotaryTables rotary, Workspace workspace)
    {
        int before = _loaded.Count;
        try
        {
            ILinear[] linears = [.. BlockLinears.All.Select(linear => Linear(linear, layer, workspace))];
            return new DecoderBlock(backend, _config, layer, linears, Norms(layer), rotary, workspace);
        }
        catch
        {
            foreach (IDisposable item in _loaded[before..])
                item.Dispose();
            throw;
        }
        finally
        {
            _loaded.RemoveRange(before, _loaded.Count - before);
        }
    }

    private ILinear Linear(BlockLinear linear, int layer, Workspace workspace)
    {
        string path = linear.ModulePath(layer);
        (int outputs, int inputs) = linear.Shape(_config);
        if (replaced?.GetValueOrDefault(path) is { } weights)
            return Keep(new QuantizedLinear(backend, weights, workspace));
        if (_config.Quantization is { } parameters && !parameters.SkipList.Contains(QuantizedCheckpoint.SkipName(linear, layer)))
            return Keep(new QuantizedLinear(backend, QuantizedCheckpoint.Read(folder, path, outputs, inputs), workspace));
        return Keep(new DenseLinear(backend, path, Matrix(path + ".weight", outputs, inputs)));
    }

    private BlockNorms Norms(int layer)
    {
        string prefix = $"model.layers.{layer}.";
        return new BlockNorms(
            Norm(prefix + "input_layernorm.weight", _config.HiddenSize),
            Norm(prefix + "post_attention_layernorm.weight", _config.HiddenSize),
            _config.HasQueryKeyNorm ? Norm(prefix + "self_attn.q_norm.weight", _config.HeadDimension) : null,
            _config.HasQueryKeyNorm ? Norm(prefix + "self_attn.k_norm.weight", _config.HeadDimension) : null);
    }

    private Tensor Matrix(string name, int rows, int columns) => Keep(folder.Load(backend, name, rows, columns, backend.ActivationType));

    private Tensor Norm(string name, int columns) => Keep(folder.Load(backend, name, 1, columns, DType.F32));

    private T Keep<T>(T item) where T : IDisposable
    {
        _loaded.Add(item);
        return item;
    }
}
