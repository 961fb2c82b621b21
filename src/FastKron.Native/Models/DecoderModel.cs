using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;
using FastKron.Native.Generation;

namespace FastKron.Native.Models;

/// <summary>A LLaMA or Qwen-3 decoder on one backend: embedding, blocks, final norm, head.</summary>
/// <remarks>Calls share scratch memory, which grows to the largest batch seen: one thread at a time.</remarks>
public sealed class DecoderModel : IDisposable
{
    // Elements of the largest slice of logits (128 MB): enough rows to keep a matrix product busy at any vocabulary.
    private const int LogitElements = 1 << 25;

    private readonly Tensor _embedding, _finalNorm, _head;
    private readonly RotaryTables _rotary;
    private readonly Workspace _workspace;

    /// <summary>Takes over weights. <paramref name="head"/> is <paramref name="embedding"/> in a tied model.</summary>
    internal DecoderModel(
        IBackend backend, ModelConfig config, Tensor embedding, IReadOnlyList<DecoderBlock> blocks, Tensor finalNorm, Tensor head, RotaryTables rotary, Workspace workspace)
    {
        (Backend, Config, Blocks) = (backend, config, blocks);
        (_embedding, _finalNorm, _head, _rotary, _workspace) = (embedding, finalNorm, head, rotary, workspace);
        LogitRows = Math.Max(1, LogitElements / config.VocabularySize);
    }

    /// <summary>Where the weights are.</summary>
    public IBackend Backend { get; }

    /// <summary>Shapes.</summary>
    public ModelConfig Config { get; }

    /// <summary>The blocks in order.</summary>
    public IReadOnlyList<DecoderBlock> Blocks { get; }

    /// <summary>Rows of hidden states whose logits make one slice, at most 128 MB; at least 1.</summary>
    public int LogitRows { get; internal set; }

    /// <summary>Loads a dense or quantized folder.</summary>
    /// <exception cref="InvalidDataException">A tensor is missing, has another shape or type, or holds NaN or infinite values: file, name, found, expected.</exception>
    public static DecoderModel Load(ModelFolder folder, IBackend backend) => new ModelLoader(folder, backend).Load();

    /// <summary>hidden ← embedding of the batch. hidden (T, hidden size), activation type.</summary>
    public void Embed(PackedBatch batch, Tensor hidden) => Backend.Embedding(batch.Ids, _embedding, hidden);

    /// <summary>Embeds and runs all blocks: hidden (T, hidden size), activation type, becomes the input of the final norm.</summary>
    /// <param name="batch">Whole sequences, or with a cache the next tokens of its sequences.</param>
    /// <param name="hidden">Overwritten.</param>
    /// <param name="cache">Keys and values of earlier tokens; this batch's are appended to it.</param>
    public void Forward(PackedBatch batch, Tensor hidden, KeyValueCache? cache = null)
    {
        Embed(batch, hidden);
        foreach (DecoderBlock block in Blocks)
            block.Forward(batch, hidden, cache);
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
        Backend.MatMul(dLogits, transposeA: false, _head, transposeB: false, dNormed);
        Backend.RmsNormBackward(dNormed, hidden, _finalNorm, Config.RmsNormEpsilon, dHidden, accumulate: false);
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

    /// <summary>Scratch for a slice of logits, (rows, vocabulary) F32.</summary>
    internal Tensor LogitScratch(int rows) => _workspace.Get(Scratch.Logits, DType.F32, rows, Config.VocabularySize);
}
