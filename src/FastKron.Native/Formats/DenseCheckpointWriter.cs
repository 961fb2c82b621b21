using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;

namespace FastKron.Native.Formats;

/// <summary>Writes a standard Hugging Face folder in bfloat16 in which some linears have other weights than in the source.</summary>
/// <remarks>
/// The other floating-point matrices and vectors are copied, rounded to bfloat16 where the source has F32 or F16. The folder appears whole or not at all.
/// </remarks>
public sealed class DenseCheckpointWriter : IDisposable
{
    private const string TypeName = "bfloat16";
    private const int ChunkElements = 1 << 23;

    private readonly ModelFolder _source;
    private readonly IBackend _backend;
    private readonly ModelFolderWriter _folder;
    private readonly List<SafetensorsTensor> _converted = [];
    private readonly Dictionary<string, int> _missingRows = [];

    private DenseCheckpointWriter(ModelFolder source, IBackend backend, IReadOnlyList<string> linears, string output, long shardBytes)
    {
        (_source, _backend) = (source, backend);
        var given = linears.Select(static module => module + ".weight").ToHashSet();
        List<PlannedTensor> tensors = [];
        foreach (SafetensorsTensor stored in source.TensorNames.Select(source.Describe))
        {
            bool isGiven = given.Remove(stored.Name);
            if (isGiven && stored.Shape.Count != 2)
            {
                throw MalformedFile.In(
                    source.Path, stored.Name, $"shape {SafetensorsTensor.Describe(stored.Shape)}", "a matrix",
                    "config.json and weights are of different models");
            }
            bool converts = isGiven || ((stored.Type == SafetensorsType.F32 || stored.Type == SafetensorsType.F16) && stored.Shape.Count is 1 or 2);
            tensors.Add(new PlannedTensor(converts ? new SafetensorsTensor(stored.Name, SafetensorsType.BF16, stored.Shape) : stored, Copied: !converts));
            if (isGiven)
                _missingRows.Add(stored.Name, checked((int)stored.Shape[0]));
            else if (converts)
                _converted.Add(stored);
        }
        if (given.Count > 0)
            throw new ArgumentException($"{source.Path}: holds no {given.First()}", nameof(linears));
        _folder = ModelFolderWriter.Create(source, output, tensors, shardBytes);
    }

    /// <summary>Prepares the output beside its final place.</summary>
    /// <param name="source">The dense model; stays open until this is disposed.</param>
    /// <param name="backend">Converts to bfloat16; holds the tensors that will be given.</param>
    /// <param name="output">Folder to make; must not exist.</param>
    /// <param name="linears">Module paths of the linears that will be given.</param>
    /// <param name="shardBytes">Largest file in bytes; one tensor is never split.</param>
    /// <exception cref="NotSupportedException">A quantized source.</exception>
    /// <exception cref="ArgumentException">The source has no such linear.</exception>
    /// <exception cref="IOException">The output exists, or cannot be made.</exception>
    public static DenseCheckpointWriter Create(
        ModelFolder source, IBackend backend, string output, IReadOnlyList<string> linears, long shardBytes = ModelFolderWriter.DefaultShardBytes)
    {
        if (source.Config.Quantization is not null)
            throw new NotSupportedException($"{source.Path}: is quantized already; supported is a dense model as source");
        return new DenseCheckpointWriter(source, backend, linears, output, shardBytes);
    }

    /// <summary>Appends rows to a linear's weight.</summary>
    /// <param name="module">Module path.</param>
    /// <param name="rows">(any number, n) of the weight's next rows, a floating-point type.</param>
    /// <exception cref="ArgumentException">No linear of that name waits for so many rows of that length, or a number becomes infinite or is none.</exception>
    /// <exception cref="IOException">The disk is full or failed.</exception>
    public void Write(string module, Tensor rows)
    {
        string name = module + ".weight";
        if (!_missingRows.TryGetValue(name, out int missing))
            throw new ArgumentException($"{_folder.Path}: {module} is no linear that waits to be written");
        long columns = _source.Describe(name).Shape[1];
        if (rows.Rows > missing || rows.Columns != columns)
            throw new ArgumentException($"{module}: expected at most {missing} rows of {columns}, found {rows}");
        WriteRows(name, rows);
        if (missing == rows.Rows)
            _missingRows.Remove(name);
        else
            _missingRows[name] = missing - rows.Rows;
    }

    /// <summary>Writes the other tensors and files and gives the folder its name.</summary>
    /// <param name="origin">How it was made (seeds, options, source), for the manifest.</param>
    /// <param name="cancellation">Checked at least once a second.</param>
    /// <exception cref="InvalidOperationException">A linear was not written completely.</exception>
    /// <exception cref="IOException">The disk is full or failed.</exception>
    public void Complete(JsonObject origin, CancellationToken cancellation = default)
    {
        if (_missingRows.Count > 0)
        {
            throw new InvalidOperationException(
                $"{_folder.Path}: {_missingRows.Count} linears were not written: {string.Join(", ", _missingRows.Keys.Take(5))}");
        }
        foreach (SafetensorsTensor tensor in _converted)
        {
            cancellation.ThrowIfCancellationRequested();
            (int rows, int columns) = tensor.Shape is [long r, long c] ? (checked((int)r), checked((int)c)) : (1, checked((int)tensor.Shape[0]));
            using Tensor loaded = _source.Load(_backend, tensor.Name, rows, columns, DType.BF16);
            WriteRows(tensor.Name, loaded);
        }
        _folder.Complete(DeclareType, origin, cancellation);
    }

    /// <summary>Deletes what was written unless it was completed.</summary>
    public void Dispose() => _folder.Dispose();

    private static void DeclareType(JsonObject config)
    {
        // transformers 5 writes dtype, earlier versions torch_dtype; both read the older one.
        foreach (string key in (string[])["dtype", "torch_dtype"])
        {
            if (config.ContainsKey(key))
                config[key] = TypeName;
        }
        if (!config.ContainsKey("dtype"))
            config["torch_dtype"] = TypeName;
    }

    private void WriteRows(string name, Tensor rows)
    {
        int columns = rows.Columns, chunkRows = Math.Clamp(ChunkElements / Math.Max(1, columns), 1, Math.Max(1, rows.Rows));
        using Tensor? narrow = rows.Type == DType.BF16 ? null : _backend.Allocate(DType.BF16, chunkRows, columns);
        var host = new BFloat16[checked(chunkRows * columns)];
        for (int row = 0; row < rows.Rows; row += chunkRows)
        {
            int count = Math.Min(chunkRows, rows.Rows - row);
            Tensor part = rows.SliceRows(row, count);
            if (narrow is not null)
            {
                _backend.Convert(part, narrow.SliceRows(0, count));
                part = narrow.SliceRows(0, count);
            }
            Span<BFloat16> elements = host.AsSpan(0, count * columns);
            _backend.Download(part, elements);
            ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(elements);
            int bad = FiniteValues.IndexOfFirstBeyond(bytes, DType.BF16, DType.BF16);
            if (bad >= 0)
            {
                throw new ArgumentException(
                    $"{name}: row {row + bad / columns}, column {bad % columns} is {elements[bad].ToSingle()} in bfloat16, expected a finite number");
            }
            _folder.Write(name, bytes);
        }
    }
}
