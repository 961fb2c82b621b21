using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;

namespace FastKron.Native.Models;

/// <summary>A LLaMA or Qwen-3 decoder on one backend: embedding, blocks, final norm, head.</summary>
public sealed class DecoderModel : IDisposable
{
    private DecoderModel(IBackend backend, ModelConfig config) => (Backend, Config) = (backend, config);

    /// <summary>Where the weights are.</summary>
    public IBackend Backend { get; }

    /// <summary>Shapes.</summary>
    public ModelConfig Config { get; }

    /// <summary>The blocks in order.</summary>
    public IReadOnlyList<DecoderBlock> Blocks => throw new NotImplementedException();

    /// <summary>Loads a dense or quantized folder.</summary>
    public static DecoderModel Load(ModelFolder folder, IBackend backend) => throw new NotImplementedException();

    /// <summary>hidden ← embedding of the batch. hidden (T, hidden size), activation type.</summary>
    public void Embed(PackedBatch batch, Tensor hidden) => throw new NotImplementedException();

    /// <summary>logits ← head(norm(hidden)); any number of rows, so that callers take slices. logits (rows, vocabulary) F32.</summary>
    public void Logits(Tensor hidden, Tensor logits) => throw new NotImplementedException();

    /// <summary>dHidden ← gradient of the loss with respect to the input of the final norm, given the gradient of the logits.</summary>
    public void LogitsBackward(Tensor hidden, Tensor dLogits, Tensor dHidden) => throw new NotImplementedException();

    /// <summary>Embeds and runs all blocks: hidden (T, hidden size) is the input of the final norm.</summary>
    public void Forward(PackedBatch batch, Tensor hidden) => throw new NotImplementedException();

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
    }
}
