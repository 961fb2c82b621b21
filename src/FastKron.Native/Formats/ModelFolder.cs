using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Formats;

/// <summary>A Hugging Face model folder: config.json and memory-mapped safetensors files, single or sharded.</summary>
public sealed class ModelFolder : IDisposable
{
    private ModelFolder(string path, ModelConfig config) => (Path, Config) = (path, config);

    /// <summary>Absolute path of the folder.</summary>
    public string Path { get; }

    /// <summary>What config.json says.</summary>
    public ModelConfig Config { get; }

    /// <summary>Opens a folder and checks every header; no weight is read yet.</summary>
    /// <exception cref="InvalidDataException">A file is missing or malformed: path, offset, found, expected.</exception>
    /// <exception cref="NotSupportedException">The model uses something the engine has not.</exception>
    public static ModelFolder Open(string path) => throw new NotImplementedException();

    /// <summary>Names of all tensors, in ordinal order.</summary>
    public IReadOnlyList<string> TensorNames => throw new NotImplementedException();

    /// <summary>Whether a tensor of that name exists.</summary>
    public bool Contains(string name) => throw new NotImplementedException();

    /// <summary>Reads a matrix (or a vector as one row) of bf16, f16 or f32 into a new tensor of <paramref name="backend"/>, checking its shape and that every value is finite.</summary>
    /// <exception cref="InvalidDataException">Missing, another shape or type, or NaN/infinite values: file, name, found, expected.</exception>
    public Tensor Load(IBackend backend, string name, int rows, int columns, DType type) => throw new NotImplementedException();

    /// <summary>The stored bytes of a tensor, from the mapping.</summary>
    public ReadOnlySpan<byte> RawBytes(string name) => throw new NotImplementedException();

    /// <summary>Unmaps the files.</summary>
    public void Dispose()
    {
    }
}
