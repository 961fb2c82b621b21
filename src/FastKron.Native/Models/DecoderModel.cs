using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Generation;

namespace FastKron.Native.Models;

/// <summary>A LLaMA or Qwen-3 decoder on one backend: embedding, blocks, final norm, head.</summary>
/// <remarks>Calls share scratch memory, which grows to the largest batch seen: one thread at a time.</remarks>
public sealed class DecoderModel : IDisposable
{
    // Elements of the largest slice of logits, 128 MB on the CPU and 1 GB on a device: enough rows to keep a matrix product busy at any vocabulary.
    private const int HostLogitElements = 1 << 25, DeviceLogitElements = 1 << 28;

    private readonly Tensor _embedding, _finalNorm, _head;
    private readonly RotaryTables _rotary;
    private readonly Workspace _workspace;
    private readonly Func<int, DecoderBlock>? _loadBlock;

    /// <summary>Takes over weights. <paramref name="head"/> is <paramref name="embedding"/> in a tied model; <paramref name="loadBlock"/> gives the blocks beyond
    /// <paramref name="blocks"/>.</summary>
    internal DecoderModel(
        IBackend backend, ModelConfig config, Tensor embedding, IReadOnlyList<DecoderBlock> blocks, Tensor finalNorm, Tensor head, RotaryTables rotary, Workspace workspace,
        Func<int, DecoderBlock>? loadBlock = null)
    {
        (Backend, Config, Blocks, _loadBlock) = (backend, config, blocks, loadBlock);
        (_embedding, _finalNorm, _head, _rotary, _workspace) = (embedding, finalNorm, head, rotary, workspace);
        LogitRows = SliceRows(config, backend.IsHost);
    }

    /// <summary>Where the weights are.</summary>
    public IBackend Backend { get; }

    /// <summary>Shapes.</summary>
    public ModelConfig Config { get; }

    /// <summary>The blocks whose weights stay on the backend, from the first: all, unless fewer were asked for.</summary>
    public IReadOnlyList<DecoderBlock> Blocks { get; }

    /// <summary>Bytes of the weights that stay on the backend.</summary>
    public long WeightBytes => Blocks.Sum(b => b.WeightBytes) + _embedding.Bytes + _finalNorm.Bytes + (_head == _embedding ? 0 : _head.Bytes);

    /// <summary>Rows of hidden states whose logits make one slice; at least 1.</summary>
    public int LogitRows { get; internal set; }

    /// <summary>Loads a dense or quantized folder.</summary>
    /// <exception cref="InvalidDataException">A tensor is missing, has another shape or type, or holds NaN or infinite values: file, name, found, expected.</exception>
    public static DecoderModel Load(ModelFolder folder, IBackend backend) => new ModelLoader(folder, backend).Load();

    /// <summary>Loads a dense folder with quantized linears in the place of some of its own.</summary>
    /// <param name="folder">The dense model.</param>
    /// <param name="backend">Where the weights go.</param>
    /// <param name="quantized">By module path; the other linears stay dense.</param>
    /// <exception cref="InvalidDataException">As <see cref="Load(ModelFolder, IBackend)"/>.</exception>
    public static DecoderModel Load(ModelFolder folder, IBackend backend, IReadOnlyDictionary<string, QuantizedWeights> quantized) =>
        new ModelLoader(folder, backend, quantized).Load();

    /// <summary>Loads a dense or quantized folder whose blocks need not all stay on the backend.</summary>
    /// <param name="folder">The model; must live as long as the result, which reads from it.</param>
    /// <param name="backend">Where the weights go.</param>
    /// <param name="residentBlocks">Blocks, from the first, that stay; the others are read whenever they are used.</param>
    /// <exception cref="InvalidDataException">As <see cref="Load(ModelFolder, IBackend)"/>; for blocks that do not stay, when they are used.</exception>
    public static DecoderModel Load(ModelFolder folder, IBackend backend, int residentBlocks) => new ModelLoader(folder, backend).Load(residentBlocks);

    /// <summary>A block to work with. If its weights do not stay on the backend they are read now, and freed with the lease.</summary>
    /// <param name="layer">Number of the block.</param>
    public BlockLease Open(int layer) => layer < Blocks.Count
        ? new BlockLease(Blocks[layer], Owns: false)
        : new BlockLease(_loadBlock!(layer), Owns: true);

    /// <summary>hidden ← embedding of the batch. hidden (T, hidden size), activation type.</summary>
    public void Embed(PackedBatch batch, Tensor hidden) => Backend.Embedding(batch.Ids, _embedding, hidden);

    /// <summary>Embeds and runs all blocks: hidden (T, hidden size), activation type, becomes the input of the final norm.</summary>
    /// <param name="batch">Whole sequences, or with a cache the next tokens of its sequences.</param>
    /// <param name="hidden">Overwritten.</param>
    /// <param name="cache">Keys and values of earlier tokens; this batch's are appended to it.</param>
    public void Forward(PackedBatch batch, Tensor hidden, KeyValueCache? cache = null)
    {
        Embed(batch, hidden);
        for (int layer = 0; layer < Config.Layers; layer++)
        {
            using BlockLease lease = Open(layer);
            lease.Block.Forward(batch, hidden, cache);
        }
        cache?.Advance(batch.Tokens / cache.Sequences);
    }

    /// <summary>logits ← head(norm(hidden)); any number of rows, so that callers take slices. logits (rows, vocabulary) F32.</summary>
    public void Logits(Tensor hidden, Tensor logits)
    {
        Tensor normed = _workspace.Get(Scratch.HeadInput, Backend.ActivationType, hidden.Rows, hidden.Columns);
        Backend.RmsNorm(hidden, _finalNorm, Config.RmsNormEpsilon, normed);
        Backend.MatMul(normed, transposeA: false, _head, transposeB: true, logits);
    }

    /// <summary>dHidden ← gradient of the loss with respect to the input of the final norm, given the gradient of the logits.</summary>
    /// <param name="hidden">(rows, hidden size): what <see cref="Logits"/> was given.</param>
    /// <param name="dLogits">(rows, vocabulary) F32.</param>
    /// <param name="dHidden">(rows, hidden size), activation type. Overwritten.</param>
    public void LogitsBackward(Tensor hidden, Tensor dLogits, Tensor dHidden)
    {
        Tensor dNormed = _workspace.Get(Scratch.DHeadInput, Backend.ActivationType, hidden.Rows, hidden.Columns);
        if (dLogits.Type != Backend.ActivationType)
        {
            // Operands of one type: a product of mixed ones would widen the whole head every time.
            Tensor narrow = _workspace.Get(Scratch.DLogits, Backend.ActivationType, dLogits.Rows, dLogits.Columns);
            Backend.Convert(dLogits, narrow);
            dLogits = narrow;
        }
        Backend.MatMul(dLogits, transposeA: false, _head, transposeB: false, dNormed);
        Backend.RmsNormBackward(dNormed, hidden, _finalNorm, Config.RmsNormEpsilon, dHidden, accumulate: false);
    }

    /// <summary>Frees the blocks and the scratch memory, to make room for another model; afterwards only <see cref="Logits"/> works.</summary>
    public void ReleaseBlocks()
    {
        foreach (DecoderBlock block in Blocks)
            block.Dispose();
        _workspace.Dispose();
    }

    /// <summary>Frees the weights and the scratch memory.</summary>
    public void Dispose()
    {
        foreach (DecoderBlock block in Blocks)
            block.Dispose();
        _embedding.Dispose();
        _finalNorm.Dispose();
        _head.Dispose();
        _rotary.Dispose();
        _workspace.Dispose();
    }

    /// <summary>Most bytes of scratch memory that a pass over <paramref name="tokens"/> tokens takes: blocks both ways, head both ways.</summary>
    internal static long ScratchBytes(ModelConfig config, int tokens, IBackend backend)
    {
        long hidden = config.HiddenSize, queries = (long)config.Heads * config.HeadDimension, keys = (long)config.KeyHeads * config.HeadDimension;
        // By the slots of Scratch: five of the hidden size, four of the queries', five of the keys', six of the MLP's; two each for norms of heads.
        long raw = config.HasQueryKeyNorm ? 2 * (queries + keys) : 0;
        long elements = 5 * hidden + 4 * queries + 5 * keys + 6L * config.IntermediateSize + raw;
        int activation = backend.ActivationType.Size(), rows = Math.Min(tokens, SliceRows(config, backend.IsHost));
        long logits = (long)rows * config.VocabularySize * (sizeof(float) + (backend.ActivationType == DType.F32 ? 0 : activation));
        return tokens * (elements * activation + config.Heads * sizeof(float)) + logits + 2 * rows * hidden * activation;
    }

    private static int SliceRows(ModelConfig config, bool onHost) =>
        Math.Max(1, (onHost ? HostLogitElements : DeviceLogitElements) / config.VocabularySize);

    /// <summary>Scratch for a slice of logits, (rows, vocabulary) F32.</summary>
    internal Tensor LogitScratch(int rows) => _workspace.Get(Scratch.Logits, DType.F32, rows, Config.VocabularySize);
}
