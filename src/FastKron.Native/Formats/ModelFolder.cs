using System.Runtime.InteropServices;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Formats;

/// <summary>A Hugging Face model folder: config.json and memory-mapped safetensors files, single or sharded.</summary>
public sealed class ModelFolder : IDisposable
{
    /// <summary>Bytes that are checked, uploaded and converted at a time.</summary>
    private const int ChunkBytes = 1 << 24;

    private readonly WeightFiles _weights;

    private ModelFolder(string path, ModelConfig config, WeightFiles weights) => (Path, Config, _weights) = (path, config, weights);

    /// <summary>Absolute path of the folder.</summary>
    public string Path { get; }

    /// <summary>What config.json says.</summary>
    public ModelConfig Config { get; }

    /// <summary>Names of all tensors, in ordinal order.</summary>
    public IReadOnlyList<string> TensorNames => _weights.Names;

    /// <summary>Numbers in all tensors; of a quantized folder the words of its codes are counted, not the weights they stand for.</summary>
    public long Parameters => TensorNames.Select(Describe).Sum(t => 8 * t.Bytes / t.Type.Bits);

    /// <summary>Opens a folder and checks every header; no weight is read yet.</summary>
    /// <exception cref="InvalidDataException">A file is missing or malformed: path, offset, found, expected.</exception>
    /// <exception cref="NotSupportedException">The model uses something the engine has not.</exception>
    public static ModelFolder Open(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        if (!Directory.Exists(path))
            throw new InvalidDataException($"{path}: no such folder; give the path of a Hugging Face model folder");
        ModelConfig config = ModelConfigReader.Read(System.IO.Path.Combine(path, "config.json"));
        return new ModelFolder(path, config, WeightFiles.Open(path));
    }

    /// <summary>Whether a tensor of that name exists.</summary>
    public bool Contains(string name) => _weights.Find(name) is not null;

    /// <summary>Stored type and shape of a tensor.</summary>
    /// <exception cref="InvalidDataException">There is none of that name.</exception>
    public SafetensorsTensor Describe(string name) => FileOf(name).Tensor(name);

    /// <summary>
    /// Reads a matrix (or a vector as one row) of bf16, f16 or f32 into a new tensor of <paramref name="backend"/>, checking its shape and that every
    /// value is finite.
    /// </summary>
    /// <remarks>Values are rounded to nearest even where <paramref name="type"/> is narrower; one that would become infinite is an error.</remarks>
    /// <exception cref="InvalidDataException">Missing, another shape or type, or NaN/infinite values: file, name, found, expected.</exception>
    public Tensor Load(IBackend backend, string name, int rows, int columns, DType type)
    {
        SafetensorsFile file = FileOf(name);
        SafetensorsTensor stored = RequireShape(file, name, rows, columns);
        Tensor destination = backend.Allocate(type, rows, columns);
        try
        {
            if (stored.Type == SafetensorsType.BF16)
                Fill<BFloat16>(backend, file, name, DType.BF16, destination);
            else if (stored.Type == SafetensorsType.F16)
                Fill<Half>(backend, file, name, DType.F16, destination);
            else if (stored.Type == SafetensorsType.F32)
                Fill<float>(backend, file, name, DType.F32, destination);
            else
            {
                throw MalformedFile.In(
                    file.Path, name, $"type {stored.Type}", "BF16, F16 or F32",
                    "give a dense checkpoint, or a quantized one of this engine's formats");
            }
            return destination;
        }
        catch
        {
            destination.Dispose();
            throw;
        }
    }

    /// <summary>Checks that embedding, head and linears of a dense model are there in the shapes that config.json says; reads no weight.</summary>
    /// <exception cref="InvalidDataException">One is missing or has another shape: file, name, found, expected.</exception>
    public void RequireDenseShapes()
    {
        foreach (string name in Config.TiedHead ? ["model.embed_tokens.weight"] : new[] { "model.embed_tokens.weight", "lm_head.weight" })
            RequireShape(FileOf(name), name, Config.VocabularySize, Config.HiddenSize);
        for (int layer = 0; layer < Config.Layers; layer++)
        {
            foreach (BlockLinear linear in BlockLinears.All)
            {
                string name = linear.ModulePath(layer) + ".weight";
                (int outputs, int inputs) = linear.Shape(Config);
                RequireShape(FileOf(name), name, outputs, inputs);
            }
        }
    }

    /// <summary>The stored bytes of a tensor, from the mapping.</summary>
    /// <exception cref="InvalidDataException">There is none of that name.</exception>
    /// <exception cref="OverflowException">2³¹ bytes or more.</exception>
    public ReadOnlySpan<byte> RawBytes(string name) => FileOf(name).Bytes(name);

    /// <summary>Unmaps the files.</summary>
    public void Dispose() => _weights.Dispose();

    /// <summary>The file that holds a tensor.</summary>
    /// <exception cref="InvalidDataException">There is none of that name.</exception>
    internal SafetensorsFile FileOf(string name) => _weights.Find(name)
        ?? throw new InvalidDataException(
            $"{Path}: found no tensor {name}, expected it for this config.json; config.json and weights are of different models");

    private static SafetensorsTensor RequireShape(SafetensorsFile file, string name, int rows, int columns)
    {
        SafetensorsTensor stored = file.Tensor(name);
        return (stored.Shape is [long r, long c] && r == rows && c == columns) || (rows == 1 && stored.Shape is [long length] && length == columns) ? stored
            : throw MalformedFile.In(
                file.Path, name, $"shape {SafetensorsTensor.Describe(stored.Shape)}", rows == 1 ? $"({columns})" : $"({rows}, {columns})",
                "config.json and weights are of different models");
    }

    private static unsafe void Fill<T>(IBackend backend, SafetensorsFile file, string name, DType stored, Tensor destination) where T : unmanaged
    {
        int columns = destination.Columns;
        int chunkRows = Math.Clamp(ChunkBytes / Math.Max(1, columns * sizeof(T)), 1, Math.Max(1, destination.Rows));
        using Tensor? staging = stored == destination.Type ? null : backend.Allocate(stored, chunkRows, columns);
        for (int row = 0; row < destination.Rows; row += chunkRows)
        {
            int rows = Math.Min(chunkRows, destination.Rows - row);
            var source = new ReadOnlySpan<T>((T*)file.Address(name) + (long)row * columns, checked(rows * columns));
            int bad = FiniteValues.IndexOfFirstBeyond(MemoryMarshal.AsBytes(source), stored, destination.Type);
            if (bad >= 0)
            {
                string found = source[bad] is BFloat16 number ? $"{number.ToSingle()}" : $"{source[bad]}";
                throw MalformedFile.In(
                    file.Path, $"{name}[{row + bad / columns}, {bad % columns}]", found, $"a number that is finite in {destination.Type}",
                    "the weights are damaged: download them again");
            }
            Tensor part = destination.SliceRows(row, rows);
            if (staging is null)
            {
                backend.Upload(source, part);
                continue;
            }
            Tensor staged = staging.SliceRows(0, rows);
            backend.Upload(source, staged);
            backend.Convert(staged, part);
        }
    }
}
