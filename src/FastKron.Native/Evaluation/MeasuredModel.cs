using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Compute;
using FastKron.Native.Formats;
using FastKron.Native.Quantization;

namespace FastKron.Native.Evaluation;

/// <summary>Which model was measured.</summary>
/// <param name="Path">Its folder; of a model that was quantized in memory, that of its original.</param>
/// <param name="Hash">SHA-256 over the hashes of config.json and of the weight files; of a model in memory, over the original's and the codes and scales.</param>
/// <param name="Weights">Type of the linears' weights.</param>
/// <param name="LinearBits">Stored bits per weight of the quantized linears, everything that is stored for them counted; of all linears in a dense model.</param>
/// <param name="ModelBits">Stored bits per parameter of the whole model.</param>
public sealed record MeasuredModel(string Path, string Hash, string Weights, double LinearBits, double ModelBits)
{
    /// <summary>Describes a folder. Reads every weight file once, to hash it.</summary>
    public static MeasuredModel Describe(ModelFolder folder)
    {
        IReadOnlyList<LinearShape> linears = LinearShape.AllOf(folder.Config);
        LinearShape[] quantized = [.. linears.Where(l => QuantizedCheckpoint.Holds(folder, l.Name))];
        string first = linears[0].Name + ".weight";
        string weights = folder.Config.Quantization is { } q ? $"{q.DecodeMode}, {q.Bits} bits" : folder.Contains(first) ? folder.Describe(first).Type.Name : "unknown";
        (double linearBits, double modelBits) = Bits(folder.TensorNames.Select(folder.Describe), linears, quantized);
        return new MeasuredModel(folder.Path, HashFiles(folder.Path), weights, linearBits, modelBits);
    }

    /// <summary>Describes a dense folder some of whose linears are quantized in memory: what <see cref="Describe(ModelFolder)"/> says of the folder that they would
    /// make, but for path and hash.</summary>
    /// <param name="original">The dense folder.</param>
    /// <param name="described">What is known of it.</param>
    /// <param name="quantized">At least one linear.</param>
    internal static MeasuredModel Describe(ModelFolder original, MeasuredModel described, IReadOnlyCollection<QuantizedWeights> quantized)
    {
        HashSet<string> replaced = [.. quantized.Select(w => w.Name + ".weight")];
        IEnumerable<SafetensorsTensor> tensors = original.TensorNames.Where(name => !replaced.Contains(name)).Select(original.Describe)
            .Concat(quantized.SelectMany(weights => QuantizedCheckpointWriter.TensorsOf(original, weights)));
        IReadOnlyList<LinearShape> linears = LinearShape.AllOf(original.Config);
        (double linearBits, double modelBits) = Bits(tensors, linears, [.. linears.Where(l => replaced.Contains(l.Name + ".weight"))]);

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(described.Hash));
        foreach (QuantizedWeights weights in quantized.OrderBy(w => w.Name, StringComparer.Ordinal))
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{weights.Name} {weights.Codebook.Name} {weights.Codebook.Bits}\n"));
            hash.AppendData(MemoryMarshal.AsBytes(weights.Codes.AsSpan()));
            hash.AppendData(MemoryMarshal.AsBytes(weights.InputScale.AsSpan()));
            hash.AppendData(MemoryMarshal.AsBytes(weights.OutputScale.AsSpan()));
        }
        TrellisCodebook code = quantized.First().Codebook;
        return new MeasuredModel(original.Path, Convert.ToHexStringLower(hash.GetHashAndReset()), $"{code.Name}, {code.Bits} bits", linearBits, modelBits);
    }

    private static (double Linear, double Model) Bits(IEnumerable<SafetensorsTensor> tensors, IReadOnlyList<LinearShape> linears, LinearShape[] quantized)
    {
        HashSet<string> modules = [.. quantized.Select(l => l.Name)], dense = [.. linears.Select(l => l.Name + ".weight")];
        long quantizedWeights = quantized.Sum(l => l.Weights), parameters = quantizedWeights, bytes = 0, quantizedBytes = 0, denseBytes = 0;
        foreach (SafetensorsTensor tensor in tensors)
        {
            bytes += tensor.Bytes;
            if (modules.Contains(tensor.Name[..Math.Max(0, tensor.Name.LastIndexOf('.'))]))
                quantizedBytes += tensor.Bytes;
            else
                parameters += tensor.Shape.Aggregate(1L, (product, size) => product * size);
            denseBytes += dense.Contains(tensor.Name) ? tensor.Bytes : 0;
        }
        double linearBits = quantizedWeights > 0 ? 8.0 * quantizedBytes / quantizedWeights : 8.0 * denseBytes / linears.Sum(l => l.Weights);
        return (linearBits, 8.0 * bytes / parameters);
    }

    private static string HashFiles(string folder)
    {
        string[] files = [System.IO.Path.Combine(folder, "config.json"), .. Directory.EnumerateFiles(folder, "*.safetensors").Order(StringComparer.Ordinal)];
        string[] hashes = [.. files.AsParallel().AsOrdered().Select(file =>
        {
            using FileStream stream = File.OpenRead(file);
            return $"{System.IO.Path.GetFileName(file)} {Convert.ToHexStringLower(SHA256.HashData(stream))}\n";
        })];
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Concat(hashes))));
    }
}
