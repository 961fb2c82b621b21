using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Formats;
using FastKron.Native.Quantization;

namespace FastKron.Native.Evaluation;

/// <summary>Which model was measured.</summary>
/// <param name="Path">Its folder.</param>
/// <param name="Hash">SHA-256 over the hashes of config.json and of the weight files.</param>
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
        HashSet<string> modules = [.. quantized.Select(l => l.Name)];
        long quantizedWeights = quantized.Sum(l => l.Weights), parameters = quantizedWeights, bytes = 0, quantizedBytes = 0;
        foreach (SafetensorsTensor tensor in folder.TensorNames.Select(folder.Describe))
        {
            bytes += tensor.Bytes;
            if (modules.Contains(tensor.Name[..Math.Max(0, tensor.Name.LastIndexOf('.'))]))
                quantizedBytes += tensor.Bytes;
            else
                parameters += tensor.Shape.Aggregate(1L, (product, size) => product * size);
        }
        string first = linears[0].Name + ".weight";
        string weights = folder.Config.Quantization is { } q ? $"{q.DecodeMode}, {q.Bits} bits" : folder.Contains(first) ? folder.Describe(first).Type.Name : "unknown";
        double linearBits = quantizedWeights > 0 ? 8.0 * quantizedBytes / quantizedWeights
            : 8.0 * linears.Sum(l => folder.Describe(l.Name + ".weight").Bytes) / linears.Sum(l => l.Weights);
        return new MeasuredModel(folder.Path, HashFiles(folder.Path), weights, linearBits, 8.0 * bytes / parameters);
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
