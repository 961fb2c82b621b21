using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Compute;
using FastKron.Native.Compute.Tensors;
using FastKron.Native.Formats;

namespace FastKron.Native.Quantization;

/// <summary>SHA-256 over the decoded weights of all linears of a model, in model order: equal digests mean that a folder holds exactly what a run made.</summary>
/// <param name="backend">Decodes.</param>
/// <param name="format">A dense folder holds bf16: its weights are rounded before they are digested.</param>
public sealed class ModelDigest(IBackend backend, CheckpointFormat format) : IDisposable
{
    // Elements that are brought to the host at a time: 4 MB.
    private const int PieceElements = 1 << 20;

    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    /// <summary>Reads all linears of a folder, dense or quantized, and digests them.</summary>
    /// <param name="path">Folder.</param>
    /// <param name="backend">Decodes.</param>
    /// <param name="cancellationToken">Checked for every linear.</param>
    /// <exception cref="InvalidDataException">The folder cannot be read.</exception>
    public static string OfFolder(string path, IBackend backend, CancellationToken cancellationToken = default)
    {
        using ModelFolder folder = ModelFolder.Open(path);
        using var digest = new ModelDigest(backend, folder.Config.Quantization is null ? CheckpointFormat.Dense : CheckpointFormat.Qtip);
        foreach (LinearShape linear in LinearShape.AllOf(folder.Config))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (QuantizedCheckpoint.Holds(folder, linear.Name))
                digest.Add(QuantizedCheckpoint.Read(folder, linear.Name, linear.Rows, linear.Columns));
            else
                digest.AddDense(folder, linear);
        }
        return digest.Finish();
    }

    /// <summary>Adds a quantized linear.</summary>
    public void Add(QuantizedWeights weights)
    {
        using Tensor dense = backend.Allocate(DType.F32, weights.Rows, weights.Columns);
        weights.Dequantize(backend, dense);
        Add(weights.Name, dense);
    }

    /// <summary>Adds a linear that a folder holds dense.</summary>
    public void AddDense(ModelFolder folder, LinearShape linear)
    {
        using Tensor dense = folder.Load(backend, linear.Name + ".weight", linear.Rows, linear.Columns, DType.F32);
        Add(linear.Name, dense);
    }

    /// <summary>The digest, lower-case hex.</summary>
    public string Finish() => Convert.ToHexStringLower(_hash.GetHashAndReset());

    /// <summary>Frees the hash.</summary>
    public void Dispose() => _hash.Dispose();

    private void Add(string name, Tensor dense)
    {
        if (format == CheckpointFormat.Dense)
        {
            using Tensor rounded = backend.Allocate(DType.BF16, dense.Rows, dense.Columns);
            backend.Convert(dense, rounded);
            backend.Convert(rounded, dense);
        }
        int rows = Math.Clamp(PieceElements / Math.Max(1, dense.Columns), 1, Math.Max(1, dense.Rows));
        float[] piece = new float[rows * dense.Columns];
        _hash.AppendData(Encoding.UTF8.GetBytes($"{name} {dense.Rows} {dense.Columns}\n"));
        for (int first = 0; first < dense.Rows; first += rows)
        {
            int count = Math.Min(rows, dense.Rows - first);
            Span<float> values = piece.AsSpan(0, count * dense.Columns);
            backend.Download(dense.SliceRows(first, count), values);
            _hash.AppendData(MemoryMarshal.AsBytes(values));
        }
    }
}
